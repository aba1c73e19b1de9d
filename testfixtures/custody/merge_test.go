package custody

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// registry lets a v2 partner tell HUS of patients and their merges.
func registry(t *testing.T) func(*hub.Config) {
	t.Helper()
	p, err := contracts.ReadPartner("apotti.yaml", []byte(`silta: partner/v1
id: apotti
dialect: {format: hl7v2, version: 2.5.1, charset: UNICODE UTF-8, names: {application: APOTTI, facility: HELSINKI, ourApplication: SILTA, ourFacility: HUS}}
door: {mllp: {listen: "127.0.0.1:0"}}
in: [{type: "ADT^A40", map: adt-a40}, {type: "ADT^*", map: adt-a01}, {type: "REF^*", map: ref-i12}]
keys: {REF: [RF1-6]}
routes: [{events: [patient, merge, request], to: [hus]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	return func(c *hub.Config) { c.Partners = append(c.Partners, p) }
}

// changed is a change of a patient's data; merging says that the record of a prior id is the patient's.
func changed(control, id string) string {
	return `MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20260302093000+0200||ADT^A08^ADT_A01|` + control + `|P|2.5.1||||||UNICODE UTF-8` + "\r" +
		`EVN||20260302093000+0200` + "\rPID|1||" + id + `^^^HUS^MR||Malli^Matti||19940501|M` + "\rPV1|1|O\r"
}

func merging(control, surviving, prior string) string {
	return `MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20260302093000+0200||ADT^A40^ADT_A39|` + control + `|P|2.5.1||||||UNICODE UTF-8` + "\r" +
		`EVN||20260302093000+0200` + "\rPID|1||" + surviving + `^^^HUS^MR||Malli^Matti||19940501|M` + "\rMRG|" + prior + "^^^HUS^MR\r"
}

func (h *house) tell(message string) {
	h.t.Helper()
	r, err := h.hub.Receive(h.t.Context(), contracts.Arrival{Partner: "apotti", Format: contracts.FormatV2, Body: contracts.NewBody([]byte(message))})
	if err != nil || r.Fault != nil {
		h.t.Fatal(err, r.Fault)
	}
}

// TestAMergeComesBehindWhatItMerges: while something about the prior identity isn't delivered, the merge waits, and what
// comes about the surviving one waits behind it. Other patients' messages flow.
func TestAMergeComesBehindWhatItMerges(t *testing.T) {
	h := open(t, registry(t))
	var mended atomic.Bool
	h.hus.answer = func(p contracts.Parcel) (contracts.Answer, error) {
		if body := string(p.Body.Bytes()); !mended.Load() && strings.Contains(body, `"88001"`) && !strings.Contains(body, `"77123"`) {
			return contracts.Answer{}, contracts.Faultf(contracts.Refused, "TST-001", "", "An invented refusal.")
		}
		return contracts.Answer{Code: "200"}, nil
	}
	h.tell(changed("M-1", "88001"))
	h.tell(merging("M-2", "77123", "88001"))
	h.tell(changed("M-3", "77123"))
	h.tell(changed("M-4", "55555"))
	if f := h.await(contracts.StepWaiting, "M-2").Fault; f == nil || f.Code != "HUB-024" {
		t.Errorf("the merge waits for %v", f)
	}
	h.until("another patient's is delivered", func() bool {
		rows, err := h.hub.Find(t.Context(), "M-4")
		return err == nil && len(rows) == 1 && rows[0].State == contracts.StateDelivered
	})
	h.await(contracts.StepWaiting, "M-3")
	mended.Store(true)
	if err := h.hub.Release(t.Context(), "M-1", "HUS takes it now", "op"); err != nil {
		t.Fatal(err)
	}
	h.until("all is delivered", func() bool {
		return !slices.ContainsFunc([]string{"M-1", "M-2", "M-3"}, func(c string) bool { return h.state(c) != contracts.StateDelivered })
	})
	var order []string
	for _, p := range h.hus.parcels() {
		body := string(p.Body.Bytes())
		switch prior, surviving := strings.Contains(body, `"88001"`), strings.Contains(body, `"77123"`); {
		case prior && surviving:
			order = append(order, "merge")
		case prior:
			order = append(order, "prior")
		case surviving:
			order = append(order, "surviving")
		}
	}
	if !slices.Equal(order, []string{"prior", "merge", "surviving"}) {
		t.Errorf("HUS took %v", order)
	}
}

// TestAMergeComesBehindEveryIdThatItMerges: whichever repetition of whichever MRG segment names it, and whatever stands before.
func TestAMergeComesBehindEveryIdThatItMerges(t *testing.T) {
	for name, mrg := range map[string]string{
		"a fifth repetition":         "MRG|1^^^HUS~2^^^HUS~3^^^HUS~4^^^HUS~88001^^^HUS\r",
		"behind a MRG without ids":   "MRG|^^^HUS\rMRG|88001^^^HUS\r",
		"in a ninth MRG":             strings.Repeat("MRG|1^^^HUS\r", 8) + "MRG|88001^^^HUS\r",
		"behind an empty repetition": "MRG|~88001^^^HUS\r",
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, registry(t))
			h.hus.answer = func(p contracts.Parcel) (contracts.Answer, error) {
				return contracts.Answer{}, contracts.Faultf(contracts.Refused, "TST-001", "", "An invented refusal.")
			}
			h.tell(changed("N-1", "88001"))
			h.tell(strings.Replace(merging("N-2", "77123", "88001"), "MRG|88001^^^HUS^MR\r", mrg, 1))
			if f := h.await(contracts.StepWaiting, "N-2").Fault; f == nil || f.Code != "HUB-024" {
				t.Errorf("the merge waits for %v", f)
			}
		})
	}
}

// TestAMergeOfTooManyIdsIsRefused: the door says that it can't keep them in order.
func TestAMergeOfTooManyIdsIsRefused(t *testing.T) {
	h := open(t, registry(t))
	many := strings.Replace(merging("O-1", "77123", "88001"), "MRG|", "MRG|"+strings.Repeat("1^^^HUS~", 1000), 1)
	r, err := h.hub.Receive(t.Context(), contracts.Arrival{Partner: "apotti", Format: contracts.FormatV2, Body: contracts.NewBody([]byte(many))})
	if err != nil || r.Fault == nil || r.Fault.Code != "HUB-025" {
		t.Errorf("the door says %v, %v", r.Fault, err)
	}
}

// TestAJourneyIsFoundByEitherIdentityAfterAMerge: also through a second merge, and only by whom it is about.
func TestAJourneyIsFoundByEitherIdentityAfterAMerge(t *testing.T) {
	h := open(t, registry(t))
	delivered := func(control string) {
		t.Helper()
		h.await(contracts.StepTranslated, control)
		h.until(control+" is delivered", func() bool { return h.state(control) == contracts.StateDelivered })
	}
	finds := func(id, control string) bool {
		t.Helper()
		rows, err := h.hub.Find(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(rows, func(r contracts.Row) bool { return r.Control == control })
	}
	h.refer("F-1", "R") // about 010101-900A
	delivered("F-1")
	h.tell(changed("F-2", "55555"))
	delivered("F-2")
	if !finds("010101-900A", "F-1") || finds("77123", "F-1") {
		t.Error("before the merge the referral is found by its own identity alone")
	}
	if rows, err := h.hub.FindImpersonal(t.Context(), "010101-900A"); err != nil || len(rows) != 0 {
		t.Errorf("an identity code in an address finds %v, %v", rows, err)
	}
	if trace, err := h.hub.Trace(t.Context(), "010101-900A"); err != nil || len(trace.Steps) == 0 {
		t.Errorf("it traces %v, %v", trace.Steps, err)
	}
	_, traced := h.hub.TraceImpersonal(t.Context(), "010101-900A")
	_, shown := h.hub.Show(t.Context(), contracts.ShowRequest{Message: "010101-900A", View: contracts.ViewRaw, Reason: "test", Operator: "o"})
	_, stopped := h.hub.Stop(t.Context(), "010101-900A", "test", "o")
	for what, err := range map[string]error{"traced": traced, "shown": shown, "stopped": stopped} {
		if contracts.KindOf(err) != contracts.NotFound {
			t.Errorf("by an identity code in an address a message is %s: %v", what, err)
		}
	}
	h.tell(strings.Replace(merging("F-3", "77123", "010101-900A"), "|010101-900A^^^HUS^MR", "|010101-900A^^^&1.2.246.21&ISO^NNFIN", 1))
	delivered("F-3")
	h.tell(merging("F-4", "99999", "77123"))
	delivered("F-4")
	for _, id := range []string{"010101-900A", "77123", "99999"} {
		if !finds(id, "F-1") {
			t.Errorf("the referral isn't found by %q", id)
		}
	}
	if finds("55555", "F-1") || !finds("55555", "F-2") {
		t.Error("somebody else's messages are mixed with it")
	}
	trace, err := h.hub.Trace(t.Context(), "L-F-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range trace.IDs {
		if id.Kind == contracts.IDPatient || strings.Contains(id.Value, "900A") {
			t.Errorf("the trace shows %+v", id)
		}
	}
}

// TestAMergeTiesOnlyThePersonOfItsRegister: another register's equal number is somebody else. Who searches by the number
// alone is shown both.
func TestAMergeTiesOnlyThePersonOfItsRegister(t *testing.T) {
	h := open(t, registry(t))
	tell := func(control, message string) {
		t.Helper()
		h.tell(message)
		h.await(contracts.StepTranslated, control)
		h.until(control+" is delivered", func() bool { return h.state(control) == contracts.StateDelivered })
	}
	finds := func(id, control string) bool {
		t.Helper()
		rows, err := h.hub.Find(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(rows, func(r contracts.Row) bool { return r.Control == control })
	}
	tell("W-1", strings.Replace(changed("W-1", "1001"), "^^^HUS^", "^^^WARD9^", 1))
	tell("W-2", changed("W-2", "1001"))
	tell("W-3", merging("W-3", "77123", "1001"))
	if !finds("1001", "W-1") || !finds("1001", "W-2") {
		t.Error("the number alone doesn't find both")
	}
	if !finds("77123", "W-2") {
		t.Error("the merge doesn't tie the journey of its register's person")
	}
	if finds("77123", "W-1") {
		t.Error("the merge ties the journey of another register's person")
	}
}
