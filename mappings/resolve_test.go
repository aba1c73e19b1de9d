package mappings

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/fhir"
)

// TestARelativeReferenceIsOfItsOwnServer: two servers' Patient/p1 are two people. A reference that doesn't say which is
// resolved under the base of the entry that it stands in.
func TestARelativeReferenceIsOfItsOwnServer(t *testing.T) {
	m, msg := referral(t)
	res, err := m.Forward(msg, Context{})
	if err != nil {
		t.Fatal(err)
	}
	text := string(res.Bundle.Append(nil))
	for i := range res.Bundle.Root().Get("entry").Len() {
		e := res.Bundle.Root().Get("entry").At(i)
		url, typ := e.Get("fullUrl").Text(), e.Get("resource").Get("resourceType").Text()
		at := "https://own.example/" + typ + "/" + strings.TrimPrefix(url, "urn:uuid:")
		if typ == "Patient" {
			at = "https://own.example/Patient/p1"
			text = strings.ReplaceAll(text, `"reference":"`+url+`"`, `"reference":"Patient/p1"`)
		}
		text = strings.ReplaceAll(text, url, at)
	}
	second := strings.Index(text, `{"fullUrl":"https://own.example/Task`)
	text = text[:second] + `{"fullUrl":"https://other.example/x/Patient/p1","resource":{"resourceType":"Patient","id":"p1","name":[{"family":"Muukalainen"}]}},` + text[second:]
	bundle, err := fhir.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	back, err := m.Reverse(bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(back.Message.Bytes()); strings.Contains(got, "Muukalainen") || !strings.Contains(got, "\rPID|") {
		t.Error("another server's patient is written, or none")
	}
}
