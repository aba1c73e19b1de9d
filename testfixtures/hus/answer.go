package hus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Sent is an answer that HUS has posted to the hub's door.
type Sent struct {
	Event   string
	Control string // Bundle.identifier of the answer
	Answers string // Bundle.identifier of the referral, as HUS received it
	Placer  string
	Status  int    // of the hub's response
	Issue   string // code of its OperationOutcome's first issue
}

// Accepted says whether the hub has taken the answer.
func (s Sent) Accepted() bool {
	return s.Status >= 200 && s.Status < 300 || s.Status == http.StatusConflict && s.Issue == "duplicate"
}

// Connect tells where the hub's FHIR door is and the token that HUS is known by there. From then on, if it was told
// to, HUS answers each referral in order of arrival; what the hub doesn't take for trouble of its own is posted
// again, the same bytes, every second at the latest.
func (s *System) Connect(door, token string) {
	if !s.Answer {
		return
	}
	s.work.Go(func() {
		for s.done.Err() == nil {
			r, waiting := s.nextReferral()
			if !waiting {
				select {
				case <-s.wake:
				case <-s.done.Done():
				}
				continue
			}
			if err := s.answerAll(s.done, door, token, r); err == nil {
				s.mu.Lock()
				s.queue = s.queue[1:]
				s.mu.Unlock()
			}
		}
	})
}

// ask puts a referral into the queue of those to be answered; the caller holds the lock.
func (s *System) ask(r Received) {
	if !s.Answer || r.Event != "request" {
		return
	}
	s.queue = append(s.queue, r)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *System) nextReferral() (Received, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return Received{}, false
	}
	return s.queue[0], true
}

// answerAll posts what HUS has to say about a referral: accepted, when the visit is, and what came of it. In life
// weeks lie between. The hub gets each only when it has taken the one before.
func (s *System) answerAll(ctx context.Context, door, token string, r Received) error {
	for i, write := range []func(Received) (Answer, error){Accepted, Booked, Feedback} {
		if i > 0 && !s.wait(s.Pause) {
			return ctx.Err()
		}
		a, err := write(r)
		if err != nil {
			return err
		}
		sent, err := Post(ctx, door, token, a)
		if err != nil {
			return err
		}
		s.Posted(sent)
		if !sent.Accepted() {
			break
		}
	}
	return s.markAnswered(r)
}

// Post posts an answer to the hub's FHIR door until the hub takes or refuses it, or ctx ends. Trouble of the hub's
// own (5xx, 429, no response) is no answer: the same bytes go again.
func Post(ctx context.Context, door, token string, a Answer) (Sent, error) {
	sent := Sent{Event: a.Event, Control: a.Control, Answers: a.Answers, Placer: a.Placer}
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		status, body, err := post(ctx, door, token, a)
		if err == nil && status < 500 && status != http.StatusTooManyRequests {
			sent.Status, sent.Issue = status, issueCode(body)
			return sent, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return sent, fmt.Errorf("hus: the hub doesn't take an answer: %w", ctx.Err())
		}
	}
}

func post(ctx context.Context, door, token string, a Answer) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, door+"/$process-message", bytes.NewReader(a.Body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/fhir+json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, body, err
}

func issueCode(body []byte) string {
	var o object
	if json.Unmarshal(body, &o) != nil {
		return ""
	}
	for _, issue := range list(o, "issue") {
		return text(issue, "code")
	}
	return ""
}

// Idle says whether HUS has no answer left to give.
func (s *System) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) == 0
}
