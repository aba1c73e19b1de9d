package busconformance

import (
	"fmt"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

func claimsAreKept(s *suite) {
	topic := s.topic("claimed")
	first := s.record(topic, "a")
	once := contracts.Once{Key: "control-1", Digest: "bytes-1"}
	p := s.claim(first, once, contracts.ClaimNew, first)
	first.Place = p.Place
	s.same(first)

	for _, round := range []string{"at once", "after a reopening"} {
		s.Logf("claims %s", round)
		repeat := first
		repeat.Time, repeat.Place = first.Time.Add(time.Hour), contracts.Place{}
		s.claim(repeat, once, contracts.ClaimSame, first)

		otherBytes := s.record(topic, "a")
		s.claim(otherBytes, contracts.Once{Key: once.Key, Digest: "bytes-2"}, contracts.ClaimOther, first)

		another := s.record(topic, "a")
		s.claim(another, contracts.Once{Key: contracts.Key("control " + round), Digest: "bytes-1"}, contracts.ClaimNew, another)
		s.reopen()
	}
	count := map[contracts.ID]int{}
	err := s.Bus.Replay(s.ctx, contracts.Replay{Topic: topic}, func(r contracts.Record) error {
		count[r.ID]++
		return nil
	})
	if err != nil {
		s.Fatalf("replay: %v", err)
	}
	if len(count) != 3 {
		s.Errorf("the topic holds %d messages, want the 3 whose claim was new", len(count))
	}
	if !s.KeepsCopies && count[first.ID] != 1 {
		s.Errorf("the first message is there %d times, want once", count[first.ID])
	}
}

// claim publishes r under a claim and checks the answer: what became of the claim, and whose it is.
func (s *suite) claim(r contracts.Record, once contracts.Once, want contracts.Claim, owner contracts.Record) contracts.Published {
	s.Helper()
	p, err := s.Bus.Publish(s.ctx, r, &once)
	if err != nil {
		s.Fatalf("publish: %v", err)
	}
	if p.Claim != want {
		s.Errorf("the claim is %d, want %d", p.Claim, want)
	}
	if p.ID != owner.ID || !p.First.Equal(owner.Time) {
		s.Errorf("the claim belongs to %s of %v, want %s of %v", p.ID, p.First, owner.ID, owner.Time)
	}
	if want == contracts.ClaimOther && p.Place != (contracts.Place{}) {
		s.Errorf("other bytes were published, at %v", p.Place)
	}
	return p
}

func claimsAtOnce(s *suite) {
	topic := s.topic("raced")
	const rounds, callers = 20, 16
	type answer struct {
		digest    contracts.Digest
		published contracts.Published
		err       error
	}
	for round := range rounds {
		answers := make(chan answer, callers)
		for i := range callers {
			r := s.record(topic, "a")
			digest := contracts.Digest(fmt.Sprint("bytes-", i%2))
			r.ID = contracts.DerivedID("raced", fmt.Sprint(round), string(digest))
			go func() {
				p, err := s.Bus.Publish(s.ctx, r, &contracts.Once{Key: contracts.Key(fmt.Sprint("control-", round)), Digest: digest})
				answers <- answer{digest, p, err}
			}()
		}
		var all []answer
		var owner answer
		for range callers {
			a := wait(s, "an answer", answers)
			if a.err != nil {
				s.Fatalf("publish: %v", a.err)
			}
			if a.published.Claim == contracts.ClaimNew {
				if owner.digest != "" {
					s.Fatal("two claims on one key are new")
				}
				owner = a
			}
			all = append(all, a)
		}
		if owner.digest == "" {
			s.Fatal("no claim is new")
		}
		for _, a := range all {
			want := contracts.ClaimOther
			if a.digest == owner.digest {
				want = contracts.ClaimSame
			}
			if a.published.Claim != contracts.ClaimNew && a.published.Claim != want {
				s.Errorf("a claim is %d, want %d", a.published.Claim, want)
			}
			if a.published.ID != owner.published.ID || !a.published.First.Equal(owner.published.First) {
				s.Error("not all answers name the same owner")
			}
		}
	}
}
