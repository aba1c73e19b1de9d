package hub

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// mostAtOnce is how many messages one request reprocesses at most: their ids must fit in memory, since a ledger gives
// the newest first and they are worked from the oldest on.
const mostAtOnce = 100_000

// Reprocess lets stored messages go their way again, one after another in the order of their reception, and tells each
// of what became of every one. One that fails stays as it is and doesn't keep the others. It ends early when each gives
// an error or ctx ends; asking again goes on from there.
//
// A message is translated in memory first: what no map takes, or today's contract refuses, isn't sent. Then
//   - a message that is held in translation is released, or its edited copy takes its place behind the key;
//   - a delivery that is held is released if its bytes are still the same, else the new ones take its place;
//   - any other goes the whole way again, as its next generation; its edited copy as a message of its own.
func (h *Hub) Reprocess(ctx context.Context, r contracts.ReprocessRequest, each func(contracts.Reprocessed) error) error {
	if err := h.checkRequest(ctx, &r); err != nil {
		return err
	}
	ids, err := h.chosen(ctx, r)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := each(h.reprocess(ctx, id, r)); err != nil {
			return err
		}
	}
	return nil
}

// checkRequest refuses what makes no sense, and names the map's version, so that a newer one changes nothing halfway.
func (h *Hub) checkRequest(ctx context.Context, r *contracts.ReprocessRequest) error {
	r.Filter.Limit = 0
	switch chosen := r.Filter != (contracts.Filter{}); {
	case len(r.IDs) == 0 && !chosen:
		return contracts.Faultf(contracts.Invalid, "HUB-062", "", "Say which messages: ids, or a state, partner, type or time.")
	case len(r.IDs) > 0 && chosen:
		return contracts.Faultf(contracts.Invalid, "HUB-062", "", "Name messages by ids or choose them by state, partner, type and time, not both.")
	case r.Edit != nil && len(r.IDs) != 1:
		return contracts.Faultf(contracts.Invalid, "HUB-062", "", "An edited copy is of one message, named by its id.")
	}
	if r.Map == "" {
		return nil
	}
	all, err := h.active(ctx, h.now())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(a contracts.Activation) bool { return a.Map == r.Map && a.Partner+a.Type != "" }) {
		return contracts.Faultf(contracts.Invalid, "HUB-062", "map", "Which version of this map is active depends on the partner and type; say one, such as %s@0.1.0.", r.Map)
	}
	name, err := h.version(ctx, r.Map, "", "", h.now())
	if err != nil {
		return err
	}
	m, err := h.maps.Map(name)
	if err != nil {
		return err
	}
	r.Map = m.Name()
	return nil
}

// chosen gives what the request names: ids as they are, or the chosen messages', oldest first.
func (h *Hub) chosen(ctx context.Context, r contracts.ReprocessRequest) ([]string, error) {
	if len(r.IDs) > 0 {
		return r.IDs, nil
	}
	r.Filter.Limit = mostAtOnce + 1
	rows, err := h.List(ctx, r.Filter)
	if err != nil {
		return nil, err
	}
	if len(rows) > mostAtOnce {
		return nil, contracts.Faultf(contracts.Invalid, "HUB-062", "", "More than %d messages are chosen. Choose fewer: by partner, type or time.", mostAtOnce)
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[len(rows)-1-i] = string(row.ID)
	}
	return ids, nil
}

// named finds the one message that an id means. Of several under one control id (an edited copy bears its original's)
// it is the one that isn't finished, else the newest.
func (h *Hub) named(ctx context.Context, id string) (contracts.ID, error) {
	rows, err := h.found(ctx, id)
	if err != nil {
		return "", err
	}
	if len(rows) == 1 {
		return rows[0].ID, nil
	}
	var exact, open []contracts.Row
	for _, row := range rows {
		if string(row.ID) != id && row.Control != id {
			continue
		}
		exact = append(exact, row)
		if left, err := h.unfinished(ctx, row.ID); err != nil {
			return "", err
		} else if len(left) > 0 {
			open = append(open, row)
		}
	}
	if len(open) == 1 {
		return open[0].ID, nil
	}
	last := slices.DeleteFunc(slices.Clone(exact), func(row contracts.Row) bool {
		return slices.ContainsFunc(exact, func(copied contracts.Row) bool { return copied.Cause == row.ID })
	})
	if len(open) > 1 || len(last) == 0 {
		return "", contracts.Faultf(contracts.Conflict, "HUB-063", "", "This id names %d messages. Name one by its own id.", len(rows))
	}
	return last[0].ID, nil
}

// reprocess does it for one message.
func (h *Hub) reprocess(ctx context.Context, id string, r contracts.ReprocessRequest) contracts.Reprocessed {
	result := contracts.Reprocessed{ID: contracts.ID(id), DryRun: r.DryRun, To: []contracts.Resent{}}
	err := h.guard("reprocess", contracts.Record{ID: result.ID}, func() error {
		message, err := h.named(ctx, id)
		if err != nil {
			return err
		}
		result.ID = message
		a := again{h: h, ask: r, result: &result}
		defer a.letGo()
		if err := a.look(ctx, message); err != nil {
			return err
		}
		return a.work(ctx)
	})
	if err != nil {
		result.Outcome, result.Faults = contracts.OutcomeFailed, contracts.FaultsOf(err)
	}
	return result
}

// again is one message that is reprocessed.
type again struct {
	h      *Hub
	ask    contracts.ReprocessRequest
	result *contracts.Reprocessed
	taken  []holding // whose keys this process works meanwhile

	e      contracts.Entry
	stored contracts.Record              // its bytes, with the headers under which they are worked
	last   map[string]contracts.Delivery // what was made of it last, by receiver
	made   int                           // the highest generation; -1 if nothing was made of it
	held   []holding                     // where it is held: itself or its deliveries
}

// look finds out where the message stands. Nobody else in this process works the keys behind which it is held until
// letGo; against other processes the ledger's refusals guard.
func (a *again) look(ctx context.Context, id contracts.ID) error {
	left, err := a.h.unfinished(ctx, id)
	if err != nil {
		return err
	}
	slices.SortFunc(left, func(x, y holding) int { return strings.Compare(x.q.topic, y.q.topic) }) // one order for all, or two would wait for each other
	for _, x := range left {
		if x.waits() && !a.ask.DryRun {
			if err := x.q.hold(ctx, x.ref().Key); err != nil {
				return err
			}
			a.taken = append(a.taken, x)
		}
	}
	if a.e, err = a.h.ledger.Entry(ctx, id); err != nil {
		return err
	}
	a.result.Control = a.e.Control
	deliveries, err := a.h.ledger.Deliveries(ctx, id)
	if err != nil {
		return err
	}
	a.made, a.last = -1, map[string]contracts.Delivery{}
	for _, d := range deliveries {
		a.last[d.Partner], a.made = d, max(a.made, d.Generation)
	}
	if left, err = a.h.unfinished(ctx, id); err != nil {
		return err
	}
	for _, x := range left {
		if x.waits() {
			a.held = append(a.held, x)
		}
	}
	underWay := slices.ContainsFunc(left, func(x holding) bool {
		return !x.waits() && len(a.held) == 0 || x.d.State == contracts.StateSending && x.waits()
	})
	if underWay {
		return contracts.Faultf(contracts.Conflict, "HUB-064", "", "The message is on its way right now. Wait until it is delivered or held, or stop it first.")
	}
	place := a.e.Place
	if a.heldInTranslation() {
		place = a.held[0].w.Park
	}
	a.stored, err = a.h.bus.Read(ctx, place)
	return err
}

func (a *again) letGo() {
	for _, x := range a.taken {
		x.q.end(x.ref().Key)
		x.q.nudge()
	}
}

func (a *again) heldInTranslation() bool { return len(a.held) > 0 && a.held[0].d.ID == "" }

// work chooses the way.
func (a *again) work(ctx context.Context) error {
	if a.ask.Edit != nil {
		r, err := a.edited()
		if err != nil {
			return err
		}
		if r.Header[contracts.HeaderDigest] != string(a.e.Digest) {
			return a.workCopy(ctx, r)
		}
		if a.e.Cause != "" && len(a.held) == 0 { // the copy itself, named by the control id that it shares
			return a.finishCopy(ctx, a.record(a.stored), a.e)
		}
	}
	switch {
	case a.heldInTranslation():
		return a.goOn(ctx)
	case len(a.held) > 0:
		return a.deliverAnew(ctx)
	case a.made < 0 && a.e.State == contracts.StateRefused:
		return a.receiveAgain(ctx)
	}
	r := a.record(a.stored)
	r.Header[contracts.HeaderGeneration] = strconv.Itoa(a.made + 1)
	return a.send(ctx, r, nil)
}

// record is a stored one as it will be worked again, with what the operator chose.
func (a *again) record(stored contracts.Record) contracts.Record {
	r := stored
	r.Topic, r.ID, r.Place = contracts.TopicIn, a.e.ID, contracts.Place{}
	r.Header = maps.Clone(stored.Header)
	delete(r.Header, contracts.HeaderFault)
	a.choose(r)
	return r
}

// choose writes the operator's choice into a record.
func (a *again) choose(r contracts.Record) {
	r.Header[contracts.HeaderOperator] = a.ask.Operator
	if a.ask.Map != "" {
		r.Header[contracts.HeaderMap] = a.ask.Map
	}
}
