package custody

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
)

// tasked is the catalog with an overlay of ref-i12 whose code map lets urgencies go on that it doesn't know.
func tasked(t *testing.T) func(*hub.Config) {
	t.Helper()
	maps, err := mappings.Load(mappings.Embedded, fstest.MapFS{"catalog/own.ref-i12/0.1.0/map.yaml": {Data: []byte(`silta: map/v1
id: own.ref-i12
version: 0.1.0
extends: ref-i12@0.1.0
codes:
  referral-priority: {extends: referral-priority, unmapped: task}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *hub.Config) { c.Maps = maps }
}

// TestAnUnknownCodeIsDeliveredAndOpensAnIssue: the receiver has the referral, and whoever supports it sees the code on its
// trace and among the issues, until somebody closes that; never its value.
func TestAnUnknownCodeIsDeliveredAndOpensAnIssue(t *testing.T) {
	h := open(t, apotti(t, "own.ref-i12"), tasked(t))
	issues := func() []contracts.Issue {
		t.Helper()
		all, err := h.hub.Issues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	h.refer("T-1", "R")
	h.refer("T-2", "KIIRE")
	h.refer("T-3", "MUU")
	h.hus.await(t, 3)
	for _, control := range []string{"T-1", "T-2", "T-3"} {
		h.until(control+" is delivered", func() bool { return h.state(control) == contracts.StateDelivered })
	}
	all := issues()
	if len(all) != 1 || all[0].Messages != 2 || all[0].Parked || all[0].Partner != "apotti" || all[0].Map != "own.ref-i12@0.1.0" {
		t.Fatalf("the issues are %+v", all)
	}
	if f := all[0].Fault; f.Kind != contracts.Unmapped || f.Code != mappings.CodeTask || f.At != "RF1-2(1).1" || strings.Contains(f.Public, "MUU") {
		t.Errorf("its fault is %v", f)
	}
	issue := string(all[0].ID)
	rows, err := h.hub.List(t.Context(), contracts.Filter{Issue: issue})
	if err != nil || len(rows) != 2 || rows[0].Control != "T-3" || rows[1].Control != "T-2" {
		t.Errorf("its messages are %+v, %v", rows, err)
	}
	told := 0
	for _, f := range h.stepsOf("T-2", contracts.StepTranslated)[0].Losses {
		if f.Code == mappings.CodeTask {
			told++
		}
	}
	if told != 1 {
		t.Errorf("the trace tells of it %d times", told)
	}
	for _, p := range h.hus.parcels() {
		if strings.Contains(string(p.Body.Bytes()), "KIIRE") {
			t.Error("a code of a closed value set left")
		}
	}
	if err := h.hub.CloseIssue(t.Context(), issue, "in the next version", "op"); err != nil {
		t.Fatal(err)
	}
	if left := issues(); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
	if err := h.hub.CloseIssue(t.Context(), issue, "", "op"); contracts.KindOf(err) != contracts.NotFound {
		t.Errorf("closing it again gives %v", err)
	}
	h.refer("T-4", "KIIRE")
	h.until("T-4 opens it again", func() bool { return len(issues()) == 1 })
}

// TestParkedMessagesAreIssuesAsLongAsTheyAre: like faults make one, which a word doesn't end.
func TestParkedMessagesAreIssuesAsLongAsTheyAre(t *testing.T) {
	h := open(t, apotti(t, "ref-i12@0.1.0"))
	h.refer("P-1", "KIIRE")
	h.refer("P-2", "MUU")
	h.refer("P-3", "R")
	h.await(contracts.StepParked, "")
	h.await(contracts.StepParked, "")
	all, err := h.hub.Issues(t.Context())
	if err != nil || len(all) != 1 || all[0].Messages != 2 || !all[0].Parked || all[0].Fault.Code != mappings.CodeUnmapped || all[0].First.After(all[0].Last) {
		t.Fatalf("the issues are %+v, %v", all, err)
	}
	issue := string(all[0].ID)
	if err := h.hub.CloseIssue(t.Context(), issue, "", "op"); contracts.KindOf(err) != contracts.Conflict {
		t.Errorf("closing it gives %v", err)
	}
	for _, c := range []struct {
		state contracts.State
		want  int
	}{{"", 2}, {contracts.StateParked, 2}, {contracts.StateDelivered, 0}, {contracts.StateRefused, 0}} {
		rows, err := h.hub.List(t.Context(), contracts.Filter{Issue: issue, State: c.state})
		if err != nil || len(rows) != c.want {
			t.Errorf("of the state %q the list has %v, %v", c.state, rows, err)
		}
	}
	for i, control := range []string{"P-1", "P-2"} {
		rows, err := h.hub.List(t.Context(), contracts.Filter{Issue: issue, Limit: 1})
		if err != nil || len(rows) != 1 {
			t.Fatalf("of %d parked messages the list has %v, %v", 2-i, rows, err)
		}
		if _, err := h.hub.Stop(t.Context(), control, "by phone", "op"); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := h.hub.Issues(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("left are %+v, %v", all, err)
	}
}

// TestAValueThatIsLeftOutOpensAnIssue: the referral goes on without a date that isn't one, and somebody sees it.
func TestAValueThatIsLeftOutOpensAnIssue(t *testing.T) {
	maps, err := mappings.Load(mappings.Embedded, fstest.MapFS{"catalog/own.ref-i12/0.1.0/map.yaml": {Data: []byte(`silta: map/v1
id: own.ref-i12
version: 0.1.0
extends: ref-i12@0.1.0
override:
  - {id: sr.authored, invalid: task}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, apotti(t, "own.ref-i12"), func(c *hub.Config) { c.Maps = maps })
	odd := strings.Replace(string(referral("L-1", "R")), "||||L-L-1\r", "||||L-L-1|||keväällä\r", 1)
	if r, err := h.hub.Receive(t.Context(), contracts.Arrival{Partner: "apotti", Format: contracts.FormatV2, Body: contracts.NewBody([]byte(odd))}); err != nil || r.Fault != nil {
		t.Fatal(err, r.Fault)
	}
	h.hus.await(t, 1)
	h.until("it is delivered", func() bool { return h.state("L-1") == contracts.StateDelivered })
	all, err := h.hub.Issues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Parked || all[0].Fault.Code != mappings.CodeLeftOut || all[0].Fault.At != "RF1-9(1)" {
		t.Errorf("the issues are %+v", all)
	}
}
