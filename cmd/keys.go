package cmd

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onepg/internal/app"
	"onepg/internal/auth"
	"onepg/internal/config"
	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/postgres"
)

// keysDeps is what the keys commands take from the program around them.
type keysDeps struct {
	// open gives the keys, and what to call when done with them.
	open func(*cobra.Command) (*auth.Keys, func() error, error)
	// scopes lists those that some route asks for.
	scopes func(*cobra.Command) (auth.Scopes, error)
}

// keyringDeps says what the keys commands work with.
func keyringDeps() keysDeps {
	return keysDeps{
		open: func(c *cobra.Command) (*auth.Keys, func() error, error) {
			database, _, err := withDatabase(c)
			if err != nil {
				return nil, nil, err
			}
			db, err := postgres.Open(c.Context(), postgres.Options{URL: database.URL, AppName: "onepg keys", MaxConns: 1})
			if err != nil {
				return nil, nil, errors.Join(err, database.Close())
			}
			return auth.NewKeys(db, slog.New(slog.DiscardHandler)), func() error { return errors.Join(db.Close(), database.Close()) }, nil
		},
		scopes: func(c *cobra.Command) (auth.Scopes, error) {
			settings, err := config.Load(c.Flags())
			if err != nil {
				return nil, err
			}
			return app.Scopes(constructors(settings))
		},
	}
}

// newKeys is "app keys".
func newKeys(deps keysDeps) *cobra.Command {
	group := &cobra.Command{
		Use:   "keys",
		Short: "Make, list and revoke the keys that open the API",
		Long: `Make, list and revoke the keys that open the API when APP_AUTH=keys. Callers send
theirs as "Authorization: Bearer <key>", and every event they cause is recorded with
the actor key:<name>.`,
		Example: `  app keys create --name web --scope users:read --scope users:write
  app keys list
  app keys revoke web`,
	}
	group.AddCommand(newKeysCreate(deps), newKeysList(deps), newKeysRevoke(deps))
	return group
}

func newKeysCreate(deps keysDeps) *cobra.Command {
	create := &cobra.Command{
		Use:   "create",
		Short: "Make a key and print it, once",
		Long: `Makes a key and prints it. The database keeps only its SHA-256, so it cannot be shown
again. A name is given once and for ever: events name it.

A scope is "<domain>:read" or "<domain>:write"; neither includes the other. Beside the
domains there are events:read, views:read, metrics:read, and views:admin, which
includes views:read. "<domain>:admin" includes all of a domain.`,
		Example: `  app keys create --name web --scope users:read --scope users:write
  app keys create --name prometheus --scope metrics:read
  app keys create --name import --scope users:write --expires-in 24h`,
		Args: cobra.NoArgs,
	}
	var key auth.NewKey
	var scopes []string
	create.Flags().StringVar(&key.Name, "name", "", "whose key it is, as events will say")
	create.Flags().StringSliceVar(&scopes, "scope", nil, "what it may do; may be repeated")
	create.Flags().DurationVar(&key.ValidFor, "expires-in", 0, "how long it is valid, such as 2160h; for ever by default")
	for _, name := range []string{"name", "scope"} {
		_ = create.MarkFlagRequired(name) // it fails only for a flag that does not exist
	}
	create.PreRunE = func(c *cobra.Command, _ []string) error {
		key.Scopes = auth.Scopes(scopes).Sorted()
		return deps.checkScopes(c, key.Scopes)
	}
	create.RunE = deps.run(func(c *cobra.Command, keys *auth.Keys, _ []string) error {
		secret, err := keys.Create(c.Context(), key)
		if err != nil {
			return err
		}
		c.PrintErrln("This is the key " + key.Name + ". It is not stored and will not be shown again:")
		return printLine(c, secret)
	})
	return create
}

// checkScopes refuses what no route asks for: a slip of the pen would otherwise
// be found out by a caller who is refused.
func (d keysDeps) checkScopes(c *cobra.Command, wanted auth.Scopes) error {
	known, err := d.scopes(c)
	if err != nil {
		return err
	}
	for _, scope := range wanted {
		domain, isAdmin := strings.CutSuffix(scope, ":admin")
		opensAny := isAdmin && slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, domain+":") })
		if !opensAny && !slices.Contains(known, scope) {
			return fault.New(fault.Invalid, "scope-unknown", fmt.Sprintf(
				"No route asks for the scope %q. There are: %s.", scope, strings.Join(known, ", ")))
		}
	}
	return nil
}

func newKeysList(deps keysDeps) *cobra.Command {
	list := &cobra.Command{
		Use:     "list",
		Short:   "List the keys, the ended ones too",
		Long:    `Lists the keys with what they may do and whether they still open anything. Their last use is right to about a minute. The keys themselves are not stored and cannot be shown.`,
		Example: "  app keys list\n  app keys list --output json",
		Args:    cobra.NoArgs,
	}
	format := outputFlag(list)
	list.RunE = deps.run(func(c *cobra.Command, keys *auth.Keys, _ []string) error {
		all, err := keys.List(c.Context())
		if err != nil {
			return err
		}
		return printList(c.OutOrStdout(), *format, all, []column[auth.Key]{
			{"NAME", func(k auth.Key) string { return k.Name }},
			{"STATUS", func(k auth.Key) string { return string(k.Status) }},
			{"SCOPES", func(k auth.Key) string { return strings.Join(k.Scopes, " ") }},
			{"CREATED", func(k auth.Key) string { return moment(&k.CreatedAt) }},
			{"EXPIRES", func(k auth.Key) string { return moment(k.ExpiresAt) }},
			{"LAST USED", func(k auth.Key) string { return moment(k.LastUsedAt) }},
		})
	})
	return list
}

// moment is a time for a table, or nothing.
func moment(t *eventsourcing.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func newKeysRevoke(deps keysDeps) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "End a key for good",
		Long: `Ends a key for good. Servers refuse it at once, or within five seconds where no
notification reaches them, and end the streams it has opened within ten. Its name
stays taken. Doing it again changes nothing.`,
		Example: "  app keys revoke web",
		Args:    cobra.ExactArgs(1),
		RunE: deps.run(func(c *cobra.Command, keys *auth.Keys, args []string) error {
			if err := keys.Revoke(c.Context(), args[0]); err != nil {
				return err
			}
			return printLine(c, "revoked "+args[0])
		}),
	}
}

// run opens the keys for a command and closes them whatever happens.
func (d keysDeps) run(do func(*cobra.Command, *auth.Keys, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) (err error) {
		keys, closeKeys, err := d.open(c)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeKeys()) }()
		return do(c, keys, args)
	}
}
