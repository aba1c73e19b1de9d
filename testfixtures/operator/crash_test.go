package operator

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
)

// deed is something that an operator does.
type deed struct {
	name   string
	before func(w *world) error // what lies there
	do     func(h *hub.Hub) error
	repeat func(h *hub.Hub) error // what a person does who got no answer; do, if nil
	notes  [][]string             // what HUS may have taken in the end, each in its order
	states map[string]int         // how many messages are shown in each state
}

func reprocess(r contracts.ReprocessRequest) func(*hub.Hub) error {
	r.Operator = "op"
	return func(h *hub.Hub) error {
		return h.Reprocess(context.Background(), r, func(x contracts.Reprocessed) error {
			if x.Outcome == contracts.OutcomeFailed && x.Faults[0].Code != "HUB-064" { // on its way is as good as done
				return x.Faults
			}
			return nil
		})
	}
}

// stop is done when the message is stopped, also when it was before.
func stop(id string) func(*hub.Hub) error {
	return func(h *hub.Hub) error {
		_, err := h.Stop(context.Background(), id, "test", "op")
		if contracts.KindOf(err) == contracts.NotFound {
			return nil
		}
		return err
	}
}

func body(b []byte) *contracts.Body {
	held := contracts.NewBody(b)
	return &held
}

// three sends a referral's three messages; HUS refuses what holds refused.
func three(firstEvent, refused string) func(*world) error {
	return func(w *world) error {
		w.refuses.Store(&refused)
		for i, event := range []string{firstEvent, "update", "update"} {
			if err := w.send(fmt.Sprint("C-", i+1), event, "R-1", fmt.Sprint("note ", i+1)); err != nil {
				return err
			}
			time.Sleep(time.Second)
		}
		return nil
	}
}

var deeds = []deed{
	{
		name: "an edited copy in the place of what is held in translation", before: three("contact", "no such text"),
		do:     reprocess(contracts.ReprocessRequest{IDs: []string{"C-1"}, Edit: body(message("C-1", "request", "R-1", "mended"))}),
		notes:  [][]string{{"mended", "note 2", "note 3"}},
		states: map[string]int{"stopped": 1, "delivered": 3},
	}, {
		name: "an edited copy in the place of a held delivery", before: three("request", "note 1"),
		do:     reprocess(contracts.ReprocessRequest{IDs: []string{"C-1"}, Edit: body(message("C-1", "request", "R-1", "mended"))}),
		notes:  [][]string{{"mended", "note 2", "note 3"}},
		states: map[string]int{"stopped": 1, "delivered": 3},
	}, {
		name: "an edited copy of what was delivered", before: three("request", "no such text"),
		do:     reprocess(contracts.ReprocessRequest{IDs: []string{"C-1"}, Edit: body(message("C-1", "request", "R-1", "mended"))}),
		notes:  [][]string{{"note 1", "note 2", "note 3", "mended"}},
		states: map[string]int{"delivered": 4},
	}, {
		name: "what was delivered, again", before: three("request", "no such text"),
		do: reprocess(contracts.ReprocessRequest{IDs: []string{"C-1"}}),
		// Who got no answer looks before asking again; who doesn't, may send it twice on purpose.
		repeat: func(*hub.Hub) error { return nil },
		notes:  [][]string{{"note 1", "note 2", "note 3"}, {"note 1", "note 2", "note 3", "note 1"}},
		states: map[string]int{"delivered": 3},
	}, {
		name: "what was stopped before it was translated, with an edit", before: func(w *world) error {
			if err := three("contact", "no such text")(w); err != nil {
				return err
			}
			w.settle()
			return w.do(stop("C-1"))
		},
		do:     reprocess(contracts.ReprocessRequest{IDs: []string{"C-1"}, Edit: body(message("C-1", "update", "R-1", "mended"))}),
		notes:  [][]string{{"note 2", "note 3", "mended"}},
		states: map[string]int{"stopped": 1, "delivered": 3},
	}, {
		name: "a held delivery, released", before: func(w *world) error {
			if err := three("request", "note 1")(w); err != nil {
				return err
			}
			w.settle()
			none := "no such text"
			w.refuses.Store(&none)
			return nil
		},
		do:     reprocess(contracts.ReprocessRequest{Filter: contracts.Filter{State: contracts.StateParked}}),
		notes:  [][]string{{"note 1", "note 2", "note 3"}},
		states: map[string]int{"delivered": 3},
	}, {
		name: "the first of three, stopped", before: three("request", "note 1"),
		do:     stop("C-1"),
		notes:  [][]string{{"note 2", "note 3"}},
		states: map[string]int{"stopped": 1, "delivered": 2},
	}, {
		name: "a pause", before: func(w *world) error { return w.do(pauseHUS) },
		do: func(h *hub.Hub) error {
			if _, err := h.Receive(context.Background(), contracts.Arrival{Partner: "clinic", Format: contracts.FormatFHIR, Body: *body(message("C-1", "request", "R-1", "note 1"))}); err != nil {
				return err
			}
			time.Sleep(time.Minute)
			if hus := h.Ready(context.Background()).Paused; !slices.Equal(hus, []string{"hus"}) {
				return contracts.Faultf(contracts.Unavailable, "T-2", "", "The pause doesn't hold.")
			}
			return h.Resume(context.Background(), "hus", "", "op")
		},
		repeat: func(h *hub.Hub) error { return h.Resume(context.Background(), "hus", "", "op") },
		notes:  [][]string{{"note 1"}, nil},
	},
}

func pauseHUS(h *hub.Hub) error { return h.Pause(context.Background(), "hus", "test", "op") }

func TestWhatAnOperatorDoesOutlivesACrashInAnyCall(t *testing.T) {
	maps, err := mappings.Load(mappings.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deeds {
		t.Run(d.name, func(t *testing.T) {
			calls := 1
			for n := 0; n < calls; n++ { // 0: without a crash, which tells how many calls there are
				synctest.Test(t, func(t *testing.T) {
					made := d.play(t, maps, n)
					calls = max(calls, made+1)
				})
			}
			if calls < 4 {
				t.Errorf("it was made of %d calls only", calls-1)
			}
		})
	}
}

// play does the deed, with a crash in its nth call, and says of how many calls it was made with all that followed.
func (d deed) play(t *testing.T, maps *mappings.Catalog, n int) int {
	w := begin(maps)
	defer w.end()
	synctest.Wait()
	if err := d.before(w); err != nil {
		t.Fatal(err)
	}
	w.settle()
	before := w.Calls()
	if n > 0 {
		w.CrashAt(before + n)
	}
	h := w.current.Load()
	if err := d.do(h); err != nil {
		repeat := d.repeat
		if repeat == nil {
			repeat = d.do
		}
		if err := w.do(repeat); err != nil {
			t.Errorf("a crash in call %d: asked again, it says %v", n, err)
		}
	}
	w.settle()
	w.settle()
	if notes := w.notes(); !slices.ContainsFunc(d.notes, func(want []string) bool { return slices.Equal(want, notes) }) {
		t.Errorf("a crash in call %d: HUS took %q", n, notes)
	}
	if wrong := w.hus.Wrong(); len(wrong) > 0 {
		t.Errorf("a crash in call %d: %q", n, wrong)
	}
	if d.states != nil {
		d.compareStates(t, w, n)
	}
	return w.Calls() - before
}

func (d deed) compareStates(t *testing.T, w *world, n int) {
	var rows []contracts.Row
	if err := w.do(func(h *hub.Hub) (err error) { rows, err = h.List(context.Background(), contracts.Filter{}); return err }); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, row := range rows {
		got[string(row.State)]++
	}
	if fmt.Sprint(got) != fmt.Sprint(d.states) {
		t.Errorf("a crash in call %d: shown are %v, want %v", n, got, d.states)
	}
}
