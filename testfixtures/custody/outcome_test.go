package custody

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// edge is one way in which an attempt can end. What must become of it stands in docs/delivery.md, in the row of the same
// name.
type edge struct {
	name   string
	script []act

	hasty   bool                         // the first attempt has little patience
	before  int                          // so many messages are delivered before the one that the row tells of
	away    bool                         // nobody listens at first
	secured *tls.Config                  // the partner's side of TLS
	mend    func(*peer)                  // what is done after the first failure
	address string                       // of the courier, instead of the partner's
	retry   string                       // the contract's patience; patient
	mapping string                       // the map; wire
	change  func(*contracts.MLLPCourier) // of the courier's contract
	big     int                          // bytes of the message's note
}

// transport is how the messages of a table travel.
type transport struct {
	speaks   protocol
	contract string
	couriers func(t *testing.T, e edge, p *peer) (courier, hasty hub.Courier)
}

// outcome is what becomes of a message, as a row of docs/delivery.md has it.
type outcome struct {
	Steps  string // of its delivery, in order
	State  string // of its delivery at last
	Fault  string // of the first attempt that failed
	Answer string // with which the last attempt ended
	Next   string // how the second attempt differs from the first: "as a repeat" or "as new"; "–" without one
	Sees   string // how often the partner gets the whole message
}

const none = "–"

// run sends one message over an edge, until a step that is its last.
func (e edge) run(h *house, p *peer, w *watched, last string) outcome {
	t, sender := h.t, "to-"+e.lab()
	for i := range e.before {
		n := strconv.Itoa(i)
		h.send(sender, message("B-"+n, "request", "R-before-"+n, "before"))
		h.await(contracts.StepDelivered, "")
	}
	receipt := h.send(sender, message("M-1", "request", "R-1", "note"+strings.Repeat("x", e.big)))
	if e.mend != nil {
		h.await(contracts.StepRetried, "")
		e.mend(p)
	}
	h.await(last, "")
	deliveries, err := h.ledger.Deliveries(t.Context(), receipt.ID)
	if err != nil || len(deliveries) != 1 {
		t.Fatalf("%d deliveries, %v", len(deliveries), err)
	}
	d := deliveries[0]
	steps, err := h.ledger.MessageSteps(t.Context(), receipt.ID)
	if err != nil {
		t.Fatal(err)
	}
	o := outcome{State: string(d.State), Answer: either(d.Answer, none), Fault: none, Next: none}
	var names []string
	for _, s := range steps {
		if s.To != e.lab() || s.Step == contracts.StepTranslated || s.Step == contracts.StepReaddress {
			continue
		}
		names = append(names, s.Step)
		if s.Fault != nil && o.Fault == none {
			o.Fault = s.Fault.Code
		}
	}
	o.Steps = strings.Join(names, " ")
	given := w.given(d.ID)
	if len(given) > 1 {
		o.Next = "as new"
		if given[1].Repeat {
			o.Next = "as a repeat"
		}
	}
	o.Sees = e.sees(t, p, d, given)
	return o
}

// sees counts how often the partner got the message, and checks that each attempt had the same bytes under the same id.
func (e edge) sees(t *testing.T, p *peer, d contracts.Delivery, given []contracts.Parcel) string {
	id := string(d.ID)
	if d.Format == contracts.FormatV2 {
		id = d.Control
	}
	n := 0
	for _, m := range p.seen() {
		if m.id == id {
			n++
			if !bytes.Equal(m.body, given[0].Body.Bytes()) {
				t.Error("the bytes that came aren't those of the first attempt")
			}
		}
	}
	for i, g := range given {
		if g.Control != d.Control || g.Attempt != i+1 || !bytes.Equal(g.Body.Bytes(), given[0].Body.Bytes()) {
			t.Errorf("attempt %d isn't the same message as the first", i+1)
		}
	}
	return strconv.Itoa(n)
}

// lab names the partner at an edge.
func (e edge) lab() string { return strings.ToLower(e.name) }

// runEdges runs a table, all at once on one hub, and compares each outcome with the docs. Every row of the docs that
// names this test needs an edge, and the other way round.
func runEdges(t *testing.T, by transport, edges []edge) {
	rows := outcomesInDocs(t, t.Name()+"/")
	peers, couriers, steps := map[string]*peer{}, map[string]*watched{}, map[string]chan contracts.Step{}
	var labs []lab
	for _, e := range edges {
		p, w := newPeer(t, by.speaks, e.script...), &watched{}
		if e.secured != nil {
			p.secure(e.secured)
		}
		if e.away {
			p.close()
		}
		w.Courier, w.hasty = by.couriers(t, e, p)
		peers[e.lab()], couriers[e.lab()], steps[e.lab()] = p, w, make(chan contracts.Step, 1000)
		labs = append(labs, lab{e.lab(), strings.ReplaceAll(by.contract, "map: wire}", "map: "+either(e.mapping, "wire")+"}"), either(e.retry, patient), w})
	}
	h := wired(t, labs, func(c *hub.Config) {
		c.Watch = func(s contracts.Step) {
			if own := steps[s.To]; own != nil {
				own <- s
			}
		}
	})
	for _, e := range edges {
		want, listed := rows[e.name]
		delete(rows, e.name)
		if !listed {
			t.Errorf("docs/delivery.md has no row %s/%s", t.Name(), e.name)
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			own := *h
			own.t, own.steps = t, steps[e.lab()]
			last := strings.Fields(want.Steps)
			got := e.run(&own, peers[e.lab()], couriers[e.lab()], last[len(last)-1])
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-docs +got)\n%s", diff)
			}
		})
	}
	for name := range rows {
		t.Errorf("docs/delivery.md has a row %s/%s that no edge shows", t.Name(), name)
	}
}

// outcomesInDocs reads the rows of docs/delivery.md whose test begins so.
func outcomesInDocs(t *testing.T, test string) map[string]outcome {
	t.Helper()
	rows := map[string]outcome{}
	for _, cells := range tableRows(t, "delivery.md") {
		if name, ok := strings.CutPrefix(cells[0], test); ok {
			if len(cells) != 8 {
				t.Fatalf("the row %s has %d cells", cells[0], len(cells))
			}
			rows[name] = outcome{Steps: cells[2], State: cells[3], Fault: cells[4], Answer: cells[5], Next: cells[6], Sees: cells[7]}
		}
	}
	if len(rows) == 0 {
		t.Fatalf("docs/delivery.md has no row of %s", test)
	}
	return rows
}

// tableRows gives the cells of each row of a page's tables, without backticks.
func tableRows(t *testing.T, page string) [][]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "`", ""))
		}
		rows = append(rows, cells)
	}
	return rows
}

func either(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
