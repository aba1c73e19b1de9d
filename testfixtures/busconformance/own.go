package busconformance

import (
	"context"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

func ownsWhatItWorks(s *suite) {
	topic := s.topic("owned")
	s.publish(s.record(topic, "a"))
	owned := make(chan bool, 1)
	stop := s.consume(topic, "hub", 1, func(_ context.Context, r contracts.Record) error {
		lane, release, held := s.Bus.Hold(topic, "hub", r.Key)
		owned <- held && lane.Err() == nil && s.Bus.Owns(topic, "hub", r.Key)
		if held {
			release()
		}
		return nil
	})
	if !wait(s, "the record", owned) {
		s.Error("a key isn't owned or can't be held while its record is worked")
	}
	stop()
}

// trimming is a topic of which a group has finished all.
func (s *suite) trimming(name string) (topic string, all []contracts.Record) {
	topic = s.topic(name)
	for range 40 {
		for _, key := range []contracts.Key{"a", "b", "c", "d"} {
			all = append(all, s.record(topic, key))
		}
	}
	all = s.publishAll(all)
	got := expect(len(all))
	stop := s.consume(topic, "hub", 4, got.handle)
	wait(s, "all records", got.all)
	stop()
	return topic, all
}

// there says which records of a topic can be replayed; each is read by its place too.
func (s *suite) there(topic string) map[contracts.ID]bool {
	s.Helper()
	there := map[contracts.ID]bool{}
	err := s.Bus.Replay(s.ctx, contracts.Replay{Topic: topic}, func(r contracts.Record) error {
		there[r.ID] = true
		s.same(r)
		return nil
	})
	if err != nil {
		s.Fatalf("replay: %v", err)
	}
	return there
}

func trimForgetsTheOld(s *suite) {
	topic, all := s.trimming("aged")
	middle := all[len(all)/2]
	if err := s.Bus.Trim(s.ctx, topic, middle.Time, nil); err != nil {
		s.Fatalf("trim: %v", err)
	}
	for _, round := range []string{"at once", "after a reopening"} {
		there, gone := s.there(topic), 0
		for _, r := range all {
			switch {
			case !there[r.ID] && !r.Time.Before(middle.Time):
				s.Fatalf("%s: a record that is young enough is gone", round)
			case !there[r.ID]:
				gone++
				if _, err := s.Bus.Read(s.ctx, r.Place); contracts.KindOf(err) != contracts.NotFound {
					s.Fatalf("%s: read a forgotten place: got %v, want a fault of kind notfound", round, err)
				}
			}
		}
		if gone == 0 {
			s.Fatalf("%s: nothing was forgotten", round)
		}
		s.reopen()
	}
	later := s.publish(s.record(topic, middle.Key))
	if later.Place.Offset <= all[len(all)-1].Place.Offset && later.Place.Partition == all[len(all)-1].Place.Partition {
		s.Errorf("a place was given twice: %v", later.Place)
	}
	if lag, err := s.Bus.Lag(s.ctx, topic, "hub"); err != nil || lag != 1 {
		s.Errorf("the lag is %d (%v), want 1: the record after the trim", lag, err)
	}
}

// tomorrow is later than all records.
var tomorrow = began.Add(24 * time.Hour)

func trimKeepsPlaces(s *suite) {
	topic, all := s.trimming("kept")
	kept := all[len(all)/2]
	elsewhere := contracts.Place{Topic: "silta.elsewhere", Partition: kept.Place.Partition}
	if err := s.Bus.Trim(s.ctx, topic, tomorrow, []contracts.Place{all[len(all)-1].Place, kept.Place, elsewhere}); err != nil {
		s.Fatalf("trim: %v", err)
	}
	there, gone := s.there(topic), 0
	for _, r := range all {
		if r.Place.Partition == kept.Place.Partition && r.Place.Offset >= kept.Place.Offset && !there[r.ID] {
			s.Fatalf("%v is gone, which is at or behind a place that is kept", r.Place)
		}
		if !there[r.ID] {
			gone++
		}
	}
	if gone == 0 {
		s.Error("nothing was forgotten")
	}
}

func trimKeepsTheUnfinished(s *suite) {
	topic, all := s.trimming("unfinished")
	begun := make(chan contracts.Record, 1)
	release := make(chan struct{})
	defer close(release)
	s.consume(topic, "slow", 1, func(_ context.Context, r contracts.Record) error {
		select {
		case begun <- r:
		default: // the test knows one already
		}
		hold(s, release)
		return nil
	})
	first := wait(s, "the slow group's first record", begun)
	if err := s.Bus.Trim(s.ctx, topic, tomorrow, nil); err != nil {
		s.Fatalf("trim: %v", err)
	}
	there := s.there(topic)
	for _, r := range all {
		if r.Place.Partition == first.Place.Partition && r.Place.Offset >= first.Place.Offset && !there[r.ID] {
			s.Fatalf("%v is gone, which a group hasn't finished", r.Place)
		}
	}
}

// The pieces or files of large bodies go with their records, and what is kept keeps its own.
func trimKeepsLargeBodies(s *suite) {
	topic := s.topic("heavy")
	old, kept := s.record(topic, "a"), s.record(topic, "a")
	old.Body = contracts.NewBody(make([]byte, largeBytes))
	kept.Body = contracts.NewBody(make([]byte, largeBytes))
	old, kept = s.publish(old), s.publish(kept)
	for _, trimmed := range []string{topic, s.Bodies} {
		if trimmed == "" {
			continue
		}
		if err := s.Bus.Trim(s.ctx, trimmed, time.Now().Add(time.Hour), []contracts.Place{kept.Place}); err != nil {
			s.Fatalf("trim: %v", err)
		}
	}
	if _, err := s.Bus.Read(s.ctx, old.Place); contracts.KindOf(err) != contracts.NotFound {
		s.Errorf("read a forgotten place: got %v, want a fault of kind notfound", err)
	}
	s.same(kept)
}
