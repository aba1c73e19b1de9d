package custody

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
)

// again reprocesses, and fails the test where the request itself is refused.
func (h *house) again(r contracts.ReprocessRequest) []contracts.Reprocessed {
	h.t.Helper()
	var results []contracts.Reprocessed
	r.Operator = "op"
	err := h.hub.Reprocess(h.t.Context(), r, func(x contracts.Reprocessed) error { results = append(results, x); return nil })
	if err != nil {
		h.t.Fatal(err)
	}
	return results
}

// one reprocesses one message.
func (h *house) one(r contracts.ReprocessRequest, want contracts.Outcome) contracts.Reprocessed {
	h.t.Helper()
	results := h.again(r)
	if len(results) != 1 || results[0].Outcome != want {
		h.t.Fatalf("want one message %s, got %+v", want, results)
	}
	return results[0]
}

func edit(b []byte) *contracts.Body {
	body := contracts.NewBody(b)
	return &body
}

// steps counts what the ledger knows of a message by kind of step.
func (h *house) stepsOf(id string, kind string) (found []contracts.Step) {
	h.t.Helper()
	trace, err := h.hub.Trace(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range trace.Steps {
		if s.Step == kind {
			found = append(found, s)
		}
	}
	return found
}

func TestWhatIsSentAgainOnPurposeHasANewIDThatNamesTheOld(t *testing.T) {
	h := open(t)
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	h.hus.await(t, 1)
	h.await(contracts.StepDelivered, "")
	for n := 1; n <= 2; n++ {
		before := h.delivery("C-1")
		got := h.one(contracts.ReprocessRequest{IDs: []string{"C-1"}, Reason: "HUS lost it"}, contracts.OutcomeSent)
		h.hus.await(t, 1)
		h.await(contracts.StepDelivered, "")
		sent, now := h.hus.parcels()[n], h.delivery("C-1")
		if now.Generation != n || sent.ID == before.ID || sent.Control != got.To[0].Control || sent.Repeat || got.To[0].Before != before.ID || got.To[0].Generation != n {
			t.Errorf("time %d: %+v after %+v; told %+v", n, now, before, got.To)
		}
		steps := h.stepsOf("C-1", contracts.StepReprocessed)
		if s := steps[len(steps)-1]; len(steps) != n || s.Other != before.ID || s.Control != sent.Control || s.Reason != "HUS lost it" || s.From != "op" || s.To != "hus" {
			t.Errorf("time %d: the steps are %+v", n, steps)
		}
	}
	// HUS may answer either; both are the same referral.
	h.send("hus", answer("H-1", "response-accepted", h.hus.parcels()[2].Control))
	h.clinic.await(t, 1)
	if trace, err := h.hub.Trace(t.Context(), "R-1"); err != nil || trace.State != "accepted" {
		t.Errorf("the journey is %s, %v", trace.State, err)
	}
}

func TestAnEditedCopyTakesThePlaceOfWhatIsHeldInTranslation(t *testing.T) {
	h := open(t)
	h.send("clinic", message("C-1", "contact", "R-1", "no route takes it"))
	h.await(contracts.StepParked, "C-1")
	h.send("clinic", message("C-2", "update", "R-1", "second"))
	h.await(contracts.StepWaiting, "C-2")
	original := h.row("C-1").ID
	mended := message("C-1", "request", "R-1", "mended")
	if got := h.one(contracts.ReprocessRequest{IDs: []string{"C-1"}}, contracts.OutcomeFailed); got.Faults[0].Code != "HUB-030" {
		t.Errorf("unmended: %v", got.Faults)
	}
	got := h.one(contracts.ReprocessRequest{IDs: []string{"C-1"}, Edit: edit(mended), Reason: "the event was wrong"}, contracts.OutcomeReplaced)
	want := []string{"Bundle.entry[0].resource.eventCoding.code", "Bundle.entry[1].resource.note[0].text"}
	if !slices.Equal(got.Edited, want) || got.Copy == "" || got.ID != original {
		t.Errorf("the copy: %+v", got)
	}
	h.hus.await(t, 2)
	if order := h.hus.order(t, "R-1"); !slices.Equal(order, []string{"mended", "second"}) {
		t.Errorf("HUS got %v", order)
	}
	h.await(contracts.StepDelivered, "")
	h.await(contracts.StepDelivered, "")
	h.copied("C-1", original, got.Copy)
	if again := h.one(contracts.ReprocessRequest{IDs: []string{string(original)}, Edit: edit(mended)}, contracts.OutcomeKnown); again.Copy != got.Copy {
		t.Errorf("the same edit again: %+v", again)
	}
	h.stop()
	if n := len(h.hus.parcels()); n != 2 {
		t.Errorf("HUS got %d messages, want 2", n)
	}
}

// copied checks that a copy is delivered, its original stopped, that both are kept and that each names the other.
func (h *house) copied(control string, original, made contracts.ID) {
	h.t.Helper()
	rows, err := h.hub.Find(h.t.Context(), control)
	if err != nil || len(rows) != 2 {
		h.t.Fatalf("%d rows, want original and copy: %v", len(rows), err)
	}
	for _, row := range rows {
		want, cause := contracts.StateStopped, contracts.ID("")
		if row.ID == made {
			want, cause = contracts.StateDelivered, original
		}
		if row.State != want || row.Cause != cause {
			h.t.Errorf("%s is %s with cause %q, want %s, %q", row.ID, row.State, row.Cause, want, cause)
		}
		shown, err := h.hub.Show(h.t.Context(), contracts.ShowRequest{Message: string(row.ID), View: contracts.ViewRaw, Reason: "test"})
		if err != nil || shown.Body.Len() == 0 {
			h.t.Errorf("the bytes of %s: %v, %v", row.ID, shown.Body, err)
		}
	}
	names := map[contracts.ID]contracts.ID{}
	for _, s := range append(h.stepsOf(string(original), contracts.StepReprocessed), h.stepsOf(string(made), contracts.StepReprocessed)...) {
		names[s.Message] = s.Other
	}
	if names[original] != made || names[made] != original {
		h.t.Errorf("the steps name %v", names)
	}
}

func TestAnEditedCopyTakesThePlaceOfAHeldDelivery(t *testing.T) {
	h := open(t)
	h.hus.answers(refusing(`"first"`))
	h.send("clinic", message("C-1", "request", "R-1", "first"))
	h.await(contracts.StepParked, "")
	h.send("clinic", message("C-2", "update", "R-1", "second"))
	h.await(contracts.StepWaiting, "")
	original, held := h.row("C-1").ID, h.delivery("C-1")
	got := h.one(contracts.ReprocessRequest{IDs: []string{"C-1"}, Edit: edit(message("C-1", "request", "R-1", "mended"))}, contracts.OutcomeReplaced)
	if len(got.To) != 1 || got.To[0].Before != held.ID || got.To[0].Generation != 0 {
		t.Errorf("told %+v", got)
	}
	h.hus.await(t, 2)
	if order := h.hus.order(t, "R-1"); !slices.Equal(order, []string{"mended", "second"}) {
		t.Errorf("HUS got %v", order)
	}
	h.await(contracts.StepDelivered, "")
	h.await(contracts.StepDelivered, "")
	h.copied("C-1", original, got.Copy)
}

func TestAHeldDeliveryIsReleasedIfItsBytesAreTheSame(t *testing.T) {
	h := open(t)
	h.hus.answers(refusing("R-1"))
	h.send("clinic", message("C-1", "request", "R-1", "1"))
	h.await(contracts.StepParked, "")
	h.send("clinic", message("C-2", "update", "R-1", "2"))
	h.await(contracts.StepWaiting, "")
	held := h.delivery("C-1")
	h.hus.answers(nil)
	h.one(contracts.ReprocessRequest{IDs: []string{"C-2"}}, contracts.OutcomeQueued)
	h.one(contracts.ReprocessRequest{IDs: []string{"C-1"}}, contracts.OutcomeReleased)
	h.hus.await(t, 2)
	if sent := h.hus.parcels()[0]; sent.ID != held.ID || h.delivery("C-1").Generation != 0 {
		t.Errorf("it left as %s, want %s", sent.ID, held.ID)
	}
}

func TestADryRunWritesNothing(t *testing.T) {
	h := open(t)
	h.hus.answers(refusing(`"held"`))
	h.send("clinic", message("C-1", "request", "R-1", "delivered"))
	h.hus.await(t, 1)
	h.await(contracts.StepDelivered, "")
	h.send("clinic", message("C-2", "update", "R-1", "held"))
	h.await(contracts.StepParked, "")
	h.send("clinic", message("C-3", "contact", "R-3", "no route takes it"))
	h.await(contracts.StepParked, "C-3")
	before := h.all()
	got := h.one(contracts.ReprocessRequest{IDs: []string{"C-1"}, Edit: edit(message("C-1", "request", "R-1", "other")), DryRun: true}, contracts.OutcomeSent)
	if to := got.To[0]; to.Partner != "hus" || to.Type != "request" || to.Control == "" || !slices.Equal(to.Changed, []string{"Bundle.entry[1].resource.note[0].text"}) {
		t.Errorf("the delivered one: %+v", to)
	}
	if got = h.one(contracts.ReprocessRequest{IDs: []string{"C-1"}, DryRun: true}, contracts.OutcomeSent); len(got.To[0].Changed) > 0 || got.To[0].Generation != 1 {
		t.Errorf("nothing changed, told %+v", got.To)
	}
	got = h.one(contracts.ReprocessRequest{IDs: []string{"C-2"}, Edit: edit(message("C-2", "update", "R-1", "other")), DryRun: true}, contracts.OutcomeReplaced)
	if to := got.To[0]; !slices.Equal(to.Changed, []string{"Bundle.entry[1].resource.note[0].text"}) {
		t.Errorf("the held one: %+v", to)
	}
	h.one(contracts.ReprocessRequest{IDs: []string{"C-2"}, DryRun: true}, contracts.OutcomeReleased)
	h.one(contracts.ReprocessRequest{IDs: []string{"C-3"}, DryRun: true}, contracts.OutcomeFailed)
	h.one(contracts.ReprocessRequest{IDs: []string{"C-3"}, Edit: edit(message("C-3", "request", "R-3", "mended")), DryRun: true}, contracts.OutcomeReplaced)
	if after := h.all(); !slices.Equal(before, after) {
		t.Errorf("the ledger changed:\n%v\n%v", before, after)
	}
	h.stop()
	if n := len(h.hus.parcels()); n != 1 {
		t.Errorf("HUS got %d messages", n)
	}
}

// all is what the ledger shows, in a form that can be compared.
func (h *house) all() (lines []string) {
	h.t.Helper()
	rows, err := h.hub.List(h.t.Context(), contracts.Filter{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, row := range rows {
		steps, err := h.ledger.MessageSteps(h.t.Context(), row.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		made, err := h.ledger.Deliveries(h.t.Context(), row.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		lines = append(lines, strings.Repeat("s", len(steps))+strings.Repeat("d", len(made))+string(row.State)+string(row.ID))
	}
	return lines
}

func TestManyAreReprocessedInTheirOrderAndOneThatFailsKeepsNone(t *testing.T) {
	h := open(t)
	h.hus.answers(refusing("R-"))
	var want []string
	for _, n := range []string{"1", "2", "3"} {
		h.send("clinic", message("C-"+n, "request", "R-"+n, n))
		h.await(contracts.StepParked, "")
		want = append(want, "C-"+n)
	}
	h.send("clinic", message("C-4", "contact", "R-4", "no route takes it"))
	h.await(contracts.StepParked, "C-4")
	want = append(want, "C-4")
	h.hus.answers(nil)
	var got []string
	for _, x := range h.again(contracts.ReprocessRequest{Filter: contracts.Filter{State: contracts.StateParked}}) {
		got = append(got, x.Control)
		if failed := x.Outcome == contracts.OutcomeFailed; failed != (x.Control == "C-4") {
			t.Errorf("%s is %s: %v", x.Control, x.Outcome, x.Faults)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("worked were %v, want %v", got, want)
	}
	h.hus.await(t, 3)
	for range 3 {
		h.await(contracts.StepDelivered, "")
	}
	rest := h.again(contracts.ReprocessRequest{Filter: contracts.Filter{State: contracts.StateParked}})
	if len(rest) != 1 || rest[0].Control != "C-4" {
		t.Errorf("the second time %+v are left", rest)
	}
}

func TestARequestThatMakesNoSenseIsRefused(t *testing.T) {
	h := open(t)
	for what, r := range map[string]contracts.ReprocessRequest{
		"nothing chosen":         {},
		"ids and a filter":       {IDs: []string{"C-1"}, Filter: contracts.Filter{State: contracts.StateParked}},
		"an edit of many":        {Filter: contracts.Filter{State: contracts.StateParked}, Edit: edit([]byte("x"))},
		"a map that nobody has":  {IDs: []string{"C-1"}, Map: "nobodys@1.0.0"},
		"a version that is gone": {IDs: []string{"C-1"}, Map: "ref-i12@0.0.1"},
	} {
		err := h.hub.Reprocess(t.Context(), r, func(contracts.Reprocessed) error { t.Errorf("%s: it did something", what); return nil })
		if kind := contracts.KindOf(err); kind != contracts.Invalid && (kind != contracts.NotFound || r.Map == "") {
			t.Errorf("%s: %v", what, err)
		}
	}
	h.one(contracts.ReprocessRequest{IDs: []string{"NOTHING"}}, contracts.OutcomeFailed)
}

func TestRefusedBytesAreCheckedAsADoorWouldToday(t *testing.T) {
	h := open(t)
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	h.hus.await(t, 1)
	refused := h.send("clinic", message("C-1", "request", "R-1", "two"))
	h.await(contracts.StepRefused, "")
	if got := h.one(contracts.ReprocessRequest{IDs: []string{string(refused.ID)}}, contracts.OutcomeFailed); got.Faults[0].Code != "HUB-012" {
		t.Errorf("a conflict: %v", got.Faults)
	}
	h.await(contracts.StepRefused, "") // recorded once more
	got := h.one(contracts.ReprocessRequest{IDs: []string{string(refused.ID)}, Edit: edit(message("C-1", "request", "R-1", "three"))}, contracts.OutcomeSent)
	h.hus.await(t, 1)
	if order := h.hus.order(t, "R-1"); !slices.Equal(order, []string{"one", "three"}) || got.Copy == "" {
		t.Errorf("HUS got %v", order)
	}
	broken := h.send("clinic", []byte("hello"))
	h.await(contracts.StepRefused, "")
	if got := h.one(contracts.ReprocessRequest{IDs: []string{string(broken.ID)}}, contracts.OutcomeFailed); got.Faults[0].Kind != contracts.Malformed {
		t.Errorf("what is no message: %v", got.Faults)
	}
}

func TestWhatIsOnItsWayIsNotReprocessed(t *testing.T) {
	h := open(t)
	begun, ends := held(h.hus, anything)
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	<-begun
	if got := h.one(contracts.ReprocessRequest{IDs: []string{"C-1"}}, contracts.OutcomeFailed); got.Faults[0].Code != "HUB-064" {
		t.Errorf("%v", got.Faults)
	}
	ends <- nil
	h.hus.await(t, 1)
}

func TestAStoppedMessageGoesAgainWhenAPersonSaysSo(t *testing.T) {
	h := open(t)
	h.hus.answers(refusing("R-1"))
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	h.await(contracts.StepParked, "")
	if _, err := h.hub.Stop(t.Context(), "C-1", "sent by phone", "op"); err != nil {
		t.Fatal(err)
	}
	h.hus.answers(nil)
	h.one(contracts.ReprocessRequest{IDs: []string{"C-1"}, Reason: "it wasn't"}, contracts.OutcomeSent)
	h.hus.await(t, 1)
	if d := h.delivery("C-1"); d.Generation != 1 {
		t.Errorf("it left as generation %d", d.Generation)
	}
	// And one that was stopped before it was ever translated.
	h.send("clinic", message("C-2", "contact", "R-2", "no route takes it"))
	h.await(contracts.StepParked, "C-2")
	if _, err := h.hub.Stop(t.Context(), "C-2", "not now", "op"); err != nil {
		t.Fatal(err)
	}
	h.stop()
	h.change = append(h.change, routed("contact"))
	h.start()
	h.one(contracts.ReprocessRequest{IDs: []string{"C-2"}}, contracts.OutcomeSent)
	h.hus.await(t, 1)
	if d := h.delivery("C-2"); d.Generation != 0 {
		t.Errorf("what was never sent left as generation %d", d.Generation)
	}
}

// routed lets the clinic's contract send one more event to HUS.
func routed(event string) func(*hub.Config) {
	return func(c *hub.Config) {
		mended := *c.Partners[0]
		mended.Routes = append(slices.Clone(mended.Routes), contracts.Route{Events: []string{event}, To: []string{"hus"}})
		c.Partners = slices.Clone(c.Partners)
		c.Partners[0] = &mended
	}
}

// swapped is the catalog with one more version of ref-i12, which says routine for A and asap for R, and knows T.
func swapped(t *testing.T) func(*hub.Config) {
	t.Helper()
	text, err := fs.ReadFile(mappings.Embedded, "catalog/ref-i12/0.1.0/map.yaml")
	if err != nil {
		t.Fatal(err)
	}
	other := strings.NewReplacer("version: 0.1.0", "version: 0.9.0", "map: {R: routine, S: stat, A: asap}, reverseOnly: {urgent: A}", "map: {R: asap, S: stat, A: routine, T: urgent}",
		"display: {R: Routine, S: STAT, A: ASAP}", "display: {R: Routine, S: STAT, A: ASAP, T: Timed}").Replace(string(text))
	if strings.Count(other, "0.9.0") != 1 || !strings.Contains(other, "T: urgent") {
		t.Fatal("the map isn't written as this test takes it to be")
	}
	maps, err := mappings.Load(mappings.Embedded, fstest.MapFS{"catalog/ref-i12/0.9.0/map.yaml": {Data: []byte(other)}})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *hub.Config) { c.Maps = maps }
}

// apotti lets a v2 partner refer to HUS by the map of that name.
func apotti(t *testing.T, name string) func(*hub.Config) {
	t.Helper()
	p, err := contracts.ReadPartner("apotti.yaml", []byte(`silta: partner/v1
id: apotti
dialect: {format: hl7v2, version: 2.5.1, charset: UNICODE UTF-8, names: {application: APOTTI, facility: HELSINKI, ourApplication: SILTA, ourFacility: HUS}}
door: {mllp: {listen: "127.0.0.1:0"}}
in: [{type: "REF^*", map: `+name+`}]
keys: {REF: [RF1-6]}
routes: [{events: [request], to: [hus]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	return func(c *hub.Config) { c.Partners = append(c.Partners, p) }
}

func referral(control, priority string) []byte {
	return []byte(strings.Join([]string{
		`MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20260301093000+0200||REF^I12^REF_I12|` + control + `|P|2.5.1||||||UNICODE UTF-8`,
		`RF1|P^Pending^HL70283|` + priority + `||||L-` + control,
		`PRD|RP^^HL70286|Esimerkki^Essi`, `PRD|RT^^HL70286|Malli^Matti`, `PID|1||010101-900A^^^&1.2.246.21&ISO^NNFIN||Mäki^Åsa`,
	}, "\r") + "\r")
}

func (h *house) refer(control, priority string) {
	h.t.Helper()
	r, err := h.hub.Receive(h.t.Context(), contracts.Arrival{Partner: "apotti", Format: contracts.FormatV2, Body: contracts.NewBody(referral(control, priority))})
	if err != nil || r.Fault != nil {
		h.t.Fatal(err, r.Fault)
	}
}

func has(p contracts.Parcel, priority string) bool {
	return strings.Contains(string(p.Body.Bytes()), `"priority":"`+priority+`"`)
}

func TestADeliveredMessageGoesAgainByAnotherVersionOfItsMap(t *testing.T) {
	h := open(t, apotti(t, "ref-i12@0.1.0"), swapped(t))
	h.refer("A-1", "R")
	h.hus.await(t, 1)
	h.await(contracts.StepDelivered, "")
	got := h.one(contracts.ReprocessRequest{IDs: []string{"A-1"}, Map: "ref-i12@0.9.0", DryRun: true}, contracts.OutcomeSent)
	if i := slices.IndexFunc(got.To[0].Changed, func(p string) bool { return strings.HasSuffix(p, ".priority") }); i < 0 || len(got.To[0].Changed) > 3 {
		t.Errorf("the dry run tells of %v", got.To[0].Changed)
	}
	h.one(contracts.ReprocessRequest{IDs: []string{"A-1"}, Map: "ref-i12"}, contracts.OutcomeSent) // the newest
	h.hus.await(t, 1)
	if p := h.hus.parcels(); !has(p[0], "routine") || !has(p[1], "asap") || p[0].ID == p[1].ID {
		t.Error("it didn't go again by the other version")
	}
	h.await(contracts.StepDelivered, "")
	if row := h.row("A-1"); row.Map != "ref-i12@0.9.0" {
		t.Errorf("its map is shown as %s", row.Map)
	}
	h.one(contracts.ReprocessRequest{IDs: []string{"A-1"}}, contracts.OutcomeSent) // as before: by that version
	h.hus.await(t, 1)
	if !has(h.hus.parcels()[2], "asap") {
		t.Error("without a choice it went by another map than before")
	}
}

func TestAHeldDeliveryGivesItsPlaceToWhatAnotherVersionWrites(t *testing.T) {
	h := open(t, apotti(t, "ref-i12@0.1.0"), swapped(t))
	h.hus.answers(func(p contracts.Parcel) (contracts.Answer, error) {
		if has(p, "routine") {
			return contracts.Answer{Code: "422"}, contracts.Faultf(contracts.Refused, "T-2", "", "no")
		}
		return contracts.Answer{}, nil
	})
	h.refer("A-1", "R")
	h.await(contracts.StepParked, "")
	held := h.delivery("A-1")
	got := h.one(contracts.ReprocessRequest{IDs: []string{"A-1"}, Map: "ref-i12@0.9.0", DryRun: true}, contracts.OutcomeReplaced)
	if !slices.ContainsFunc(got.To[0].Changed, func(p string) bool { return strings.HasSuffix(p, ".priority") }) || got.Map != "ref-i12@0.9.0" {
		t.Errorf("the dry run tells %+v", got)
	}
	got = h.one(contracts.ReprocessRequest{IDs: []string{"A-1"}, Map: "ref-i12@0.9.0"}, contracts.OutcomeReplaced)
	if to := got.To[0]; to.Before != held.ID || to.Generation != 1 {
		t.Errorf("told %+v", to)
	}
	h.hus.await(t, 1)
	h.await(contracts.StepDelivered, "")
	made, err := h.ledger.Deliveries(t.Context(), h.row("A-1").ID)
	if err != nil || len(made) != 2 || made[0].State != contracts.StateStopped || made[1].State != contracts.StateDelivered || made[1].Control != h.hus.parcels()[0].Control {
		t.Errorf("the deliveries are %+v, %v", made, err)
	}
	if h.row("A-1").State != contracts.StateDelivered {
		t.Errorf("it is shown as %s", h.row("A-1").State)
	}
}

func TestAParkedMessageGoesOnWhenACodeMapWasMended(t *testing.T) {
	h := open(t, apotti(t, "ref-i12@0.1.0"), swapped(t))
	for _, control := range []string{"A-1", "A-2"} {
		h.refer(control, "T")
		h.await(contracts.StepParked, control)
	}
	h.one(contracts.ReprocessRequest{IDs: []string{"A-1"}}, contracts.OutcomeFailed)
	h.one(contracts.ReprocessRequest{IDs: []string{"A-1"}, Map: "ref-i12@0.9.0"}, contracts.OutcomeReleased)
	h.hus.await(t, 1)
	h.await(contracts.StepDelivered, "")
	if d := h.delivery("A-1"); d.Generation != 0 || h.row("A-1").Map != "ref-i12@0.9.0" {
		t.Errorf("it went as generation %d by %s", d.Generation, h.row("A-1").Map)
	}
	h.stop()
	h.change = []func(*hub.Config){apotti(t, "ref-i12"), swapped(t)} // the contract takes the newest now
	h.start()
	h.one(contracts.ReprocessRequest{IDs: []string{"A-2"}}, contracts.OutcomeReleased)
	h.hus.await(t, 1)
	if !has(h.hus.parcels()[1], "urgent") {
		t.Error("it wasn't translated by the mended map")
	}
}

func TestWhoseMapVersionIsGoneStaysAsItIs(t *testing.T) {
	h := open(t, apotti(t, "ref-i12"), swapped(t))
	h.refer("A-1", "R")
	h.hus.await(t, 1)
	h.await(contracts.StepDelivered, "")
	h.stop()
	h.change = []func(*hub.Config){apotti(t, "ref-i12")}
	h.start()
	if got := h.one(contracts.ReprocessRequest{IDs: []string{"A-1"}}, contracts.OutcomeFailed); got.Faults[0].Code != "HUB-034" {
		t.Errorf("%v", got.Faults)
	}
	h.one(contracts.ReprocessRequest{IDs: []string{"A-1"}, Map: "ref-i12@0.1.0"}, contracts.OutcomeSent)
	h.hus.await(t, 1)
	if !has(h.hus.parcels()[1], "routine") {
		t.Error("it didn't go by the version that was chosen")
	}
}

// Of two receivers one has the original and one refuses it: the copy takes the place of the held one, and goes to the
// other as a message of its own.
func TestAnEditedCopyGoesToWhoeverHasTheOriginalAsWell(t *testing.T) {
	terho := newReceiver()
	h := open(t, func(c *hub.Config) {
		c.Partners = []*contracts.Partner{partner(t, "clinic", "{events: [request, update], to: [hus, terho]}"), partner(t, "hus", ""), partner(t, "terho", "")}
		c.Couriers["terho"] = terho
	})
	h.hus.answers(refusing(`"first"`))
	h.send("clinic", message("C-1", "request", "R-1", "first"))
	terho.await(t, 1)
	h.await(contracts.StepParked, "")
	h.send("clinic", message("C-2", "update", "R-1", "second"))
	terho.await(t, 1)
	h.await(contracts.StepWaiting, "")
	got := h.one(contracts.ReprocessRequest{IDs: []string{"C-1"}, Edit: edit(message("C-1", "request", "R-1", "mended"))}, contracts.OutcomeReplaced)
	if len(got.To) != 2 {
		t.Errorf("told %+v", got.To)
	}
	terho.await(t, 1)
	h.hus.await(t, 2)
	if order := h.hus.order(t, "R-1"); !slices.Equal(order, []string{"mended", "second"}) {
		t.Errorf("HUS got %v", order)
	}
	if order := terho.order(t, "R-1"); !slices.Equal(order, []string{"first", "second", "mended"}) {
		t.Errorf("the other got %v", order)
	}
	// Again, unedited, where one has it and one holds it: only the held one is worked.
	h.hus.answers(refusing(`"third"`))
	h.send("clinic", message("C-3", "update", "R-1", "third"))
	terho.await(t, 1)
	h.await(contracts.StepParked, "")
	h.hus.answers(nil)
	if got := h.one(contracts.ReprocessRequest{IDs: []string{"C-3"}}, contracts.OutcomeReleased); len(got.To) != 1 || got.To[0].Partner != "hus" {
		t.Errorf("told %+v", got.To)
	}
	h.hus.await(t, 1)
	h.stop()
	if n := len(terho.parcels()); n != 4 {
		t.Errorf("the other got %d messages, want 4", n)
	}
}
