package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/hub"
)

// send hands a message to one process after another until one gives a receipt, as a sender does that keeps what isn't
// acknowledged.
func (r *run) send(ctx context.Context, from string, body []byte, draw *rand.Rand) (contracts.Receipt, bool) {
	for ctx.Err() == nil {
		if h := r.processes[draw.IntN(processes)].hub.Load(); h != nil {
			patience, cancel := context.WithTimeout(ctx, 15*time.Second)
			receipt, err := h.Receive(patience, contracts.Arrival{Partner: from, Format: contracts.FormatFHIR, Body: contracts.NewBody(body)})
			cancel()
			if err == nil {
				return receipt, true
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
	return contracts.Receipt{}, false
}

// post sends a message that must be accepted.
func (r *run) post(ctx context.Context, from string, body []byte, draw *rand.Rand) {
	if receipt, ok := r.send(ctx, from, body, draw); ok {
		if receipt.Fault != nil {
			r.judge.wrong("a good message was refused: " + receipt.Fault.Code)
		}
		r.judge.acknowledged(receipt)
	}
}

// expectRefusal sends what must be refused.
func (r *run) expectRefusal(ctx context.Context, kind contracts.Kind, body []byte, draw *rand.Rand) {
	if receipt, ok := r.send(ctx, "clinic", body, draw); ok {
		if receipt.Fault == nil || receipt.Fault.Kind != kind {
			r.judge.wrong(fmt.Sprintf("what must be refused as %s was accepted, or refused for something else", kind))
		}
		r.judge.acknowledged(receipt)
	}
}

// referral sends one referral's messages in order; now and then one of them twice, other bytes under an id that was used,
// something that no route takes, or what is no message.
func (r *run) referral(ctx context.Context, k int) {
	draw := rand.New(rand.NewPCG(r.seed, uint64(100+k)))
	placer := fmt.Sprint("R-", k)
	cancels := -1
	if draw.IntN(4) == 0 {
		cancels = 1 + draw.IntN(each-1)
	}
	for n := range each {
		event, control := profiles.Update, fmt.Sprintf("C-%d-%d", k, n)
		if n == 0 {
			event = profiles.Request
		}
		if n == cancels {
			r.post(ctx, "clinic", message("X-"+control, profiles.Cancel, placer, n), draw)
		}
		body := message(control, event, placer, n)
		r.post(ctx, "clinic", body, draw)
		switch draw.IntN(16) {
		case 0, 1:
			r.post(ctx, "clinic", body, draw)
		case 2:
			r.expectRefusal(ctx, contracts.Conflict, message(control, event, placer, n+each), draw)
		case 3:
			r.expectRefusal(ctx, contracts.Malformed, fmt.Appendf(nil, `{"resourceType":"Bundle","id":"G-%d-%d"`, k, n), draw)
		}
		time.Sleep(time.Duration(draw.Int64N(int64(2 * rough / each))))
	}
}

// answers lets HUS answer each referral's first message once it has it, and once something that it never got.
func (r *run) answers(ctx context.Context) {
	draw := rand.New(rand.NewPCG(r.seed, 9))
	if draw.IntN(4) == 0 {
		r.post(ctx, "hus", answer("H-nothing", "nothing"), draw)
	}
	answered := map[string]bool{}
	for ctx.Err() == nil {
		for _, t := range r.hus.Taken() {
			if t.N == 0 && !answered[t.Referral] {
				answered[t.Referral] = true
				r.post(ctx, "hus", answer("H-"+t.Referral, t.Control), draw)
			}
		}
		time.Sleep(3 * time.Second)
	}
}

// operator looks at some process every now and then, and releases or stops what is parked there, and what waits for long.
func (r *run) operator(ctx context.Context) {
	draw := rand.New(rand.NewPCG(r.seed, 10))
	rounds := map[contracts.ID]int{}
	for ctx.Err() == nil {
		time.Sleep(10*time.Second + time.Duration(draw.Int64N(int64(20*time.Second))))
		if h := r.processes[draw.IntN(processes)].hub.Load(); h != nil {
			r.tidy(ctx, h, rounds, draw)
		}
	}
}

func (r *run) tidy(ctx context.Context, h *hub.Hub, rounds map[contracts.ID]int, draw *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	rows, err := h.List(ctx, contracts.Filter{Limit: 1000})
	if err != nil {
		return
	}
	for _, row := range rows {
		act, stop := h.Release, func(ctx context.Context, id, reason, operator string) error {
			_, err := h.Stop(ctx, id, reason, operator)
			return err
		}
		switch {
		case row.State == contracts.StateParked && (row.Type == profiles.Cancel || draw.IntN(8) == 0):
			act = stop
		case row.State == contracts.StateParked:
		case row.State == contracts.StateWaiting || row.State == contracts.StateSending: // until a clock was right again that was a day ahead
			if rounds[row.ID]++; rounds[row.ID] < 5 {
				continue
			}
			if rounds[row.ID] = 0; row.Type == profiles.ResponseAccepted {
				act = stop
			}
		default:
			continue
		}
		_ = act(ctx, string(row.ID), "simulated", "operator") // it may fail in this weather; the next round tries again
	}
}

func message(control, event, placer string, n int) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Bundle","identifier":{"value":%q},"type":"message","entry":[
{"fullUrl":"urn:uuid:4420d79e-47f2-5af8-bae4-c416882ab364","resource":{"resourceType":"MessageHeader","eventCoding":{"system":%q,"code":%q},"source":{"endpoint":"urn:x"},"focus":[{"reference":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df92"}]}},
{"fullUrl":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df92","resource":{"resourceType":"Task","identifier":[{"type":{"coding":[{"code":"PLAC"}]},"value":%q}],"status":"requested","intent":"order","note":[{"text":"%d"}]}}]}`,
		control, profiles.URL(profiles.EventSystem), event, placer, n)
}

func answer(control, to string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Bundle","identifier":{"value":%q},"type":"message","entry":[
{"fullUrl":"urn:uuid:4420d79e-47f2-5af8-bae4-c416882ab365","resource":{"resourceType":"MessageHeader","eventCoding":{"system":%q,"code":%q},"source":{"endpoint":"urn:y"},"response":{"identifier":%q,"code":"ok"},"focus":[{"reference":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df93"}]}},
{"fullUrl":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df93","resource":{"resourceType":"Task","status":"accepted","intent":"order"}}]}`,
		control, profiles.URL(profiles.EventSystem), profiles.ResponseAccepted, to)
}

// orderOf reads a referral's id and a message's number from what HUS gets.
func orderOf(p contracts.Parcel) (string, int) {
	var b struct {
		Entry []struct {
			Resource struct {
				Identifier []struct{ Value string }
				Note       []struct{ Text string }
			}
		}
	}
	if err := json.Unmarshal(p.Body.Bytes(), &b); err != nil || len(b.Entry) < 2 {
		return "", 0
	}
	task := b.Entry[1].Resource
	n, err := strconv.Atoi(task.Note[0].Text)
	if err != nil {
		return "", 0
	}
	return task.Identifier[0].Value, n
}
