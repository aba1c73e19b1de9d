package hl7v2_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func TestCodesAreInOrderAndExplained(t *testing.T) {
	for i, c := range hl7v2.Codes {
		if c.Meaning == "" || i > 0 && c.Code <= hl7v2.Codes[i-1].Code {
			t.Errorf("%s is out of order or has no meaning", c.Code)
		}
	}
}

// Faults name places and never say what stands there.
func TestFaultsHoldNoValues(t *testing.T) {
	const secret = "010190-900P"
	sets := func(path, value string) error {
		m := parse(t, strings.Join(goodReferral, "\r"))
		return m.Set(hl7v2.MustPath(path), value)
	}
	latin := parse(t, small)
	head := "MSH|^~\\&|" + secret + "|B|C|D|" + secret + "||REF^I12^REF_I12|1|" + secret + "|2.5.1\r"
	errs := []error{
		latin.Set(hl7v2.MustPath("PID-5"), secret+"€"),
		sets("PID-3[1=9"+secret+"].1", "x"),
		sets("PID[3="+secret+"x]-1", "x"),
		hl7v2.Validate(parse(t, head+"PID|"+secret+"||||||"+secret+"||||||||||||||||||||||"+secret+"\rOBX||NM|||"+secret), nil),
	}
	for _, message := range []string{
		secret, "MSH|" + secret, head + secret + "\r", head + "PID|" + secret + "\xff\r",
		strings.TrimSpace(head) + "||||||" + secret + "\r", head + "NTE|1\rMSH|" + secret,
	} {
		_, err := hl7v2.Parse([]byte(message))
		errs = append(errs, err)
	}
	for _, object := range []string{secret, `{"charset":"` + secret + `"}`, `{"segments":[{"id":"` + secret + `"}]}`} {
		_, err := hl7v2.EncodeJSON([]byte(object))
		errs = append(errs, err)
	}
	_, err := hl7v2.ParseDateTime(secret)
	_, err2 := hl7v2.CompilePath(secret)
	_, faults := hl7v2.Split([]byte("BHS|^~\\&\r" + head + "BTS|" + secret + "\r"))
	known := func(code string) bool {
		return slices.ContainsFunc(hl7v2.Codes, func(c struct{ Code, Meaning string }) bool { return c.Code == code })
	}
	for i, err := range append(errs, err, err2, faults) {
		if err == nil || len(contracts.FaultsOf(err)) == 0 {
			t.Errorf("case %d has no fault", i)
			continue
		}
		for _, f := range contracts.FaultsOf(err) {
			if strings.Contains(f.Error(), secret) || !known(f.Code) {
				t.Errorf("case %d: %s at %s holds the value or isn't listed", i, f.Code, f.At)
			}
		}
	}
}
