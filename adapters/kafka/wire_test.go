package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hoitosilta/silta/contracts"
)

func sample() contracts.Record {
	return contracts.Record{
		Topic: contracts.TopicIn, Key: "00ff", ID: contracts.DerivedID("test", "1"), Time: time.Date(2026, 3, 2, 8, 0, 0, 123456000, time.UTC),
		Header: map[string]string{contracts.HeaderType: "REF^I12", contracts.HeaderPartner: "apotti"},
		Body:   contracts.NewBody([]byte("MSH|^~\\&|\xff\r")),
	}
}

// What a CloudEvents reader needs stands in the headers; the time has microseconds, which Kafka's own hasn't.
func TestARecordIsACloudEvent(t *testing.T) {
	w, err := new(Bus).write(t.Context(), sample())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, h := range w.Headers {
		got[h.Key] = string(h.Value)
	}
	want := map[string]string{"ce_specversion": "1.0", "ce_source": "/silta", "ce_id": string(sample().ID), "ce_type": "REF^I12",
		"ce_time": "2026-03-02T08:00:00.123456Z", "ce_partner": "apotti"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other headers (-want +got):\n%s", diff)
	}
	if string(w.Key) != "00ff" || !w.Timestamp.Equal(sample().Time) || len(w.Value) != sample().Body.Len()+5 {
		t.Errorf("key, timestamp or value are otherwise: %q, %v, %d bytes", w.Key, w.Timestamp, len(w.Value))
	}
}

func TestARecordComesBackFromTheWire(t *testing.T) {
	bare := contracts.Record{Topic: "t", ID: "1", Time: time.UnixMicro(1).UTC(), Header: map[string]string{}}
	for name, want := range map[string]contracts.Record{"full": sample(), "without type, key and body": bare} {
		t.Run(name, func(t *testing.T) {
			w, err := new(Bus).write(t.Context(), want)
			if err != nil {
				t.Fatal(err)
			}
			w.Timestamp = w.Timestamp.Truncate(time.Millisecond)
			w.Headers = append(w.Headers, kgo.RecordHeader{Key: "x"}, kgo.RecordHeader{Key: "ce_"}) // somebody else's
			got, err := new(Bus).read(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			want.Place.Topic = want.Topic
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("it came back otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAForeignRecordIsRefused(t *testing.T) {
	for name, w := range map[string]*kgo.Record{
		"no envelope":    {Value: []byte("x")},
		"unknown form":   {Value: []byte{9, 0, 0, 0, 0}},
		"broken pieces":  {Headers: []kgo.RecordHeader{{Key: "ce_bodypieces", Value: []byte("{")}}},
		"empty and bare": {},
	} {
		if _, err := new(Bus).read(t.Context(), w); contracts.KindOf(err) != contracts.Internal {
			t.Errorf("%s: got %v, want a fault of kind internal", name, err)
		}
	}
}

// The first claim in a partition's order holds, whatever comes later, and what is no claim claims nothing.
func TestTheFirstClaimHolds(t *testing.T) {
	s := &claims{byKey: map[contracts.Key]claim{}, next: map[int32]int64{}, grown: make(chan struct{}), ended: make(chan struct{})}
	if _, known := s.owner("k"); known {
		t.Error("a key is claimed before anything was read")
	}
	s.add([]*kgo.Record{
		{Key: []byte("k"), Partition: 2, Offset: 7, Value: []byte("nonsense")},
		{Key: []byte("k"), Partition: 2, Offset: 8, Value: []byte(`{"digest":"d1","id":"1","first":1000000}`)},
		{Key: []byte("k"), Partition: 2, Offset: 9, Value: []byte(`{"digest":"d2","id":"2","first":2000000}`)},
	})
	c, known := s.owner("k")
	if !known || c.Digest != "d1" || c.ID != "1" || !c.first().Equal(time.Unix(1, 0)) || c.offset != 8 {
		t.Errorf("the key belongs to %+v", c)
	}
	if err := s.reach(t.Context(), 2, 9); err != nil {
		t.Errorf("what was read isn't reached: %v", err)
	}
	close(s.ended)
	if err := s.reach(t.Context(), 2, 10); contracts.KindOf(err) != contracts.Unavailable {
		t.Errorf("at the end: got %v, want a fault of kind unavailable", err)
	}
}

func TestFaultsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind contracts.Kind
		code string
	}{
		{kerr.NotEnoughReplicas, contracts.Unavailable, codePublish},
		{kgo.ErrMaxBuffered, contracts.Unavailable, codePublish},
		{kerr.MessageTooLarge, contracts.Internal, codeRecord},
	} {
		f := contracts.FaultsOf(publishFault(c.err))[0]
		if f.Kind != c.kind || f.Code != c.code || !errors.Is(f, c.err) {
			t.Errorf("%v becomes %v, want %s %s", c.err, f, c.kind, c.code)
		}
	}
	if publishFault(nil) != nil {
		t.Error("no error becomes a fault")
	}
}
