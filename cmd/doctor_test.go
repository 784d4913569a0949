package cmd

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"onepg/internal/doctor"
)

func TestTheDoctorFailsIfACheckDoes(t *testing.T) {
	t.Parallel()
	findings := []doctor.Finding{
		{Check: "version", Status: doctor.OK, Found: "PostgreSQL 15"},
		{Check: "listen", Status: doctor.Warning, Found: "nothing arrives", Advice: "Set it."},
	}
	var out bytes.Buffer
	if err := printFindings(&out, outputTable, findings); err != nil || !strings.HasSuffix(out.String(), "\nlisten: Set it.\n") {
		t.Errorf("%q %v", out.String(), err)
	}
	findings = append(findings, doctor.Finding{Check: "clock", Status: doctor.Failed, Found: "off", Advice: "Wind it."})
	out.Reset()
	if err := printFindings(&out, outputJSON, findings); err == nil || err.Error() != "1 of 3 checks failed" {
		t.Errorf("%v", err)
	}
	var read []doctor.Finding
	if err := json.Unmarshal(out.Bytes(), &read); err != nil || len(read) != 3 || read[1] != findings[1] {
		t.Errorf("%s %v", out.String(), err)
	}
}
