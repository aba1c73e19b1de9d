package busconformance

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
)

func comeBackWhole(s *suite) {
	topic := s.topic("whole")
	full := s.publish(s.record(topic, "a"))
	bare := s.record(topic, "")
	bare.Header, bare.Body = nil, contracts.Body{}
	bare = s.publish(bare)
	for _, want := range []contracts.Record{full, bare} {
		s.same(want)
	}
	got := expect(2)
	s.consume(topic, "hub", 4, got.handle)
	wait(s, "both records", got.all)
}

// same reads a record by its place and compares all of it.
func (s *suite) same(want contracts.Record) {
	s.Helper()
	got, err := s.Bus.Read(s.ctx, want.Place)
	if err != nil {
		s.Fatalf("read %v: %v", want.Place, err)
	}
	s.equal(got, want)
}

func (s *suite) equal(got, want contracts.Record) {
	s.Helper()
	if len(got.Header) == 0 && len(want.Header) == 0 {
		got.Header, want.Header = nil, nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("the record at %v came back otherwise (-want +got):\n%s", want.Place, diff)
	}
	if got.Time.Location() != time.UTC {
		s.Errorf("the record at %v has a time that isn't in UTC", want.Place)
	}
}

func outliveReopening(s *suite) {
	topic := s.topic("kept")
	var want []contracts.Record
	for range 20 {
		want = append(want, s.publish(s.record(topic, "a")))
	}
	s.reopen()
	for _, r := range want {
		s.same(r)
	}
	later := s.publish(s.record(topic, "a"))
	if later.Place.Offset <= want[19].Place.Offset {
		s.Errorf("a place was given twice: %v after %v", later.Place, want[19].Place)
	}
	s.same(want[19])
	got := expect(21)
	s.consume(topic, "hub", 4, got.handle)
	wait(s, "all records", got.all)
}

// largeBytes is beyond what either bus keeps in one piece, and no multiple of anything.
const largeBytes = 5<<20 + 17

func largeComeBackWhole(s *suite) {
	topic := s.topic("large")
	large := s.record(topic, "a")
	large.Body = contracts.NewBody(bytes.Repeat([]byte("0123456789abcde\n"), largeBytes/16+1)[:largeBytes])
	large = s.publish(large)
	small := s.publish(s.record(topic, "a"))
	for range 2 {
		s.same(large)
		s.same(small)
		var replayed []contracts.Record
		err := s.Bus.Replay(s.ctx, contracts.Replay{Topic: topic}, func(r contracts.Record) error {
			replayed = append(replayed, r)
			return nil
		})
		if err != nil || len(replayed) != 2 {
			s.Fatalf("replay gives %d records, want 2: %v", len(replayed), err)
		}
		s.equal(replayed[0], large)
		s.reopen()
	}
	bodies := make(chan contracts.Record, 2)
	s.consume(topic, "hub", 4, func(_ context.Context, r contracts.Record) error {
		bodies <- r
		return nil
	})
	s.equal(wait(s, "the large record", bodies), large)
	s.equal(wait(s, "the small record", bodies), small)
}

func noRecordAtPlace(s *suite) {
	topic := s.topic("places")
	r := s.publish(s.record(topic, "a"))
	beyond := r.Place
	beyond.Offset++
	before := r.Place
	before.Offset = -1
	for name, place := range map[string]contracts.Place{"beyond": beyond, "before": before} {
		if _, err := s.Bus.Read(s.ctx, place); contracts.KindOf(err) != contracts.NotFound {
			s.Errorf("read %s all records: got %v, want a fault of kind notfound", name, err)
		}
	}
}

func replayChooses(s *suite) {
	topic, other := s.topic("replayed"), s.topic("beside")
	var all, beside []contracts.Record
	for range 300 {
		for _, key := range []contracts.Key{"a", "b", "c"} {
			all = append(all, s.record(topic, key))
		}
		beside = append(beside, s.record(other, "a"))
	}
	s.publishAll(slices.Concat(beside, all))
	middle := all[len(all)/2].Time
	for _, c := range []struct {
		name   string
		choice contracts.Replay
		chosen func(contracts.Record) bool
	}{
		{"all", contracts.Replay{}, func(contracts.Record) bool { return true }},
		{"a key", contracts.Replay{Key: "b"}, func(r contracts.Record) bool { return r.Key == "b" }},
		{"from a time on", contracts.Replay{Since: middle}, func(r contracts.Record) bool { return !r.Time.Before(middle) }},
		{"a key from a time on", contracts.Replay{Key: "a", Since: middle}, func(r contracts.Record) bool { return r.Key == "a" && !r.Time.Before(middle) }},
		{"a key that isn't there", contracts.Replay{Key: "d"}, func(contracts.Record) bool { return false }},
		{"a time to come", contracts.Replay{Since: began.AddDate(1, 0, 0)}, func(contracts.Record) bool { return false }},
	} {
		want := map[contracts.Key][]contracts.ID{}
		for _, r := range all {
			if c.chosen(r) {
				want[r.Key] = append(want[r.Key], r.ID)
			}
		}
		c.choice.Topic = topic
		got := expect(-1)
		if err := s.Bus.Replay(s.ctx, c.choice, func(r contracts.Record) error { return got.handle(s.ctx, r) }); err != nil {
			s.Errorf("replay of %s: %v", c.name, err)
		}
		if diff := cmp.Diff(want, got.byKey); diff != "" {
			s.Errorf("replay of %s gives others (-want +got):\n%s", c.name, diff)
		}
	}
	if lag, err := s.Bus.Lag(s.ctx, topic, "hub"); err != nil || lag != int64(len(all)) {
		s.Errorf("after replays the lag is %d (%v), want %d", lag, err, len(all))
	}
}

func replayEnds(s *suite) {
	topic := s.topic("ended")
	s.publishMany(topic, 1, 3)
	stop, calls := errors.New("stop"), 0
	err := s.Bus.Replay(s.ctx, contracts.Replay{Topic: topic}, func(contracts.Record) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		s.Errorf("replay went on for %d calls and gave %v, want 1 and the callback's error", calls, err)
	}
}
