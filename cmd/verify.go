package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"onepg/internal/app"
	"onepg/internal/eventstore"
	"onepg/internal/fault"
	"onepg/internal/verify"
)

func newVerify() *cobra.Command {
	verifying := &cobra.Command{
		Use:   "verify",
		Short: "Check the database against what the log promises",
		Long: `Computes everything again from the data: positions and versions without gaps, times
that never fall, ids that come once, the chain of seals, what protects history
(triggers, indexes, rights), and each view's rows and each snapshot against the
fold of their events. It changes nothing, and servers may go on writing.

The exit code is 0 when all is as it must be and 1 when not; what is wrong is
listed with its position. A long run that was interrupted says where to go on
with --from. The events after the last seal can still be changed without a
trace; a seal that was kept outside, --seal, also shows that seals were rewritten.`,
		Example: "  app verify\n  app verify --from 5000001 --to 6000000 --sample 10000\n  app verify --seal seal.json --output json",
		Args:    cobra.NoArgs,
	}
	var o verify.Options
	verifying.Flags().Var((*positionFlag)(&o.From), "from", "look at events from this position on")
	verifying.Flags().Var((*positionFlag)(&o.To), "to", "look at events up to this position")
	verifying.Flags().IntVar(&o.Sample, "sample", 0, "compare the rows of about this many aggregates of each view instead of all")
	sealFile := verifying.Flags().String("seal", "", "file with a seal that was kept outside the database")
	format := outputFlag(verifying)
	verifying.PreRunE = func(*cobra.Command, []string) error {
		switch {
		case o.To > 0 && o.To < o.From:
			return errors.New("--from must not be after --to")
		case o.Sample < 0:
			return errors.New("--sample must be a number of aggregates")
		}
		return nil
	}
	verifying.RunE = withTools(func(c *cobra.Command, tools *app.Tools, _ []string) error {
		if err := readSeal(*sealFile, &o); err != nil {
			return err
		}
		bar := newProgress(c.ErrOrStderr())
		o.Asking = func(check string) { bar.unmeasured("checking " + check) }
		o.Progress = bar.positions("verified")
		report, err := tools.Verify(c.Context(), o)
		bar.end()
		if errors.Is(err, context.Canceled) && c.Context().Err() != nil {
			err = fault.New(fault.Unavailable, "verify-interrupted",
				fmt.Sprintf("Interrupted. What was checked is in the report; go on with: app verify --from %d", report.CheckedTo+1))
		}
		if *format == outputJSON {
			return errors.Join(printJSON(c.OutOrStdout(), report), err, judgement(report))
		}
		if err := errors.Join(printReport(c.OutOrStdout(), report), err, judgement(report)); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(c.OutOrStdout(), agreement); err != nil {
			return fmt.Errorf("print the verdict: %w", err)
		}
		return nil
	})
	return verifying
}

// agreement is the verdict where nothing is wrong; judgement is the other one.
const agreement = "\nAll that was looked at agrees: the log is in order, history is protected, seals hold, rows and snapshots are the fold of their events."

func readSeal(file string, o *verify.Options) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the seal: %w", err)
	}
	seal, err := eventstore.ReadSeal(text)
	o.Seal = &seal
	return err
}

// judgement is the error of a command that found something wrong.
func judgement(r *verify.Report) error {
	switch {
	case r.OK():
		return nil
	case r.FirstBadPosition > 0:
		return fault.New(fault.Internal, "verify-found", fmt.Sprintf("%d findings; the first bad position is %d.", len(r.Findings)+r.Omitted, r.FirstBadPosition))
	default:
		return fault.New(fault.Internal, "verify-found", fmt.Sprintf("%d findings.", len(r.Findings)+r.Omitted))
	}
}

// printReport prints what was looked at, and what is wrong if anything is.
func printReport(w io.Writer, r *verify.Report) error {
	_, err := fmt.Fprintf(w, "events     %d at positions %d to %d\nseals      %d, up to position %d\nrows       %d\nsnapshots  %d\n",
		r.Events, r.From, r.CheckedTo, r.Seals, r.SealedTo, r.Rows, r.Snapshots)
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	for _, list := range []struct {
		title    string
		findings []verify.Finding
	}{{"notes, which are no damage:", r.Notes}, {"findings:", r.Findings}} {
		if len(list.findings) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s\n", list.title); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
		if err := printList(w, outputTable, list.findings, findingColumns()); err != nil {
			return err
		}
	}
	return nil
}

func findingColumns() []column[verify.Finding] {
	return []column[verify.Finding]{
		{"CHECK", func(f verify.Finding) string { return f.Check }},
		{"POSITION", func(f verify.Finding) string {
			if f.Position == 0 {
				return ""
			}
			return strconv.FormatInt(f.Position, 10)
		}},
		{"VIEW", func(f verify.Finding) string { return f.View }},
		{"AGGREGATE", func(f verify.Finding) string {
			if f.AggregateID == nil {
				return ""
			}
			return f.AggregateID.String()
		}},
		{"DETAIL", func(f verify.Finding) string { return f.Detail }},
	}
}
