package kafka

import (
	"encoding/json"
	"errors"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
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
	w, err := new(Bus).write(t.Context(), sample(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, h := range w.Headers {
		got[h.Key] = string(h.Value)
	}
	want := map[string]string{"ce_specversion": "1.0", "ce_source": "/silta/silta.in", "ce_id": string(sample().ID), "ce_type": "REF^I12",
		"ce_time": "2026-03-02T08:00:00.123456Z", "ce_partner": "apotti",
		"ce_partitionkey": "00ff", "ce_envelope": "0100000000", "content-type": "application/octet-stream"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other headers (-want +got):\n%s", diff)
	}
	if string(w.Key) != "00ff" || !w.Timestamp.Equal(sample().Time) || string(w.Value) != string(sample().Body.Bytes()) {
		t.Errorf("key, timestamp or value are otherwise: %q, %v, %d bytes", w.Key, w.Timestamp, len(w.Value))
	}
}

func TestARecordComesBackFromTheWire(t *testing.T) {
	bare := contracts.Record{Topic: "t", ID: "1", Time: time.UnixMicro(1).UTC(), Header: map[string]string{}}
	for name, want := range map[string]contracts.Record{"full": sample(), "without type, key and body": bare} {
		t.Run(name, func(t *testing.T) {
			w, err := new(Bus).write(t.Context(), want, nil)
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
			if diff := cmp.Diff(want, got.Record); diff != "" {
				t.Errorf("it came back otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

// What no Silta wrote, or what can't be read any more, comes with nothing but its bytes and a fault that names its place.
func TestAForeignRecordIsKnown(t *testing.T) {
	id := kgo.RecordHeader{Key: "ce_id", Value: []byte("1")}
	for name, w := range map[string]*kgo.Record{
		"no CloudEvent":       {},
		"no id":               {Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte("t")}}},
		"broken envelope":     {Headers: []kgo.RecordHeader{id, {Key: "ce_envelope", Value: []byte("09")}}},
		"unknown envelope":    {Headers: []kgo.RecordHeader{id, {Key: "ce_envelope", Value: []byte("0900000000")}}},
		"another one's bytes": {Headers: []kgo.RecordHeader{id, {Key: "ce_dataref", Value: []byte("https://example.org/1")}}},
		"broken claim":        {Headers: []kgo.RecordHeader{id, {Key: "ce_claim", Value: []byte("{")}}},
	} {
		w.Topic, w.Partition, w.Offset, w.Key, w.Value = "silta.in", 3, 7, []byte("a name, say"), []byte("x")
		got, err := new(Bus).read(t.Context(), w)
		if err != nil || !got.foreign {
			t.Errorf("%s: got %v, want a foreign record", name, err)
			continue
		}
		var f contracts.Fault
		if err := json.Unmarshal([]byte(got.Header[contracts.HeaderFault]), &f); err != nil || f.Code != codeForeign || f.At != "silta.in/3/7" {
			t.Errorf("%s: its fault is %v (%v)", name, &f, err)
		}
		if got.ID == "" || string(got.Key) != string(got.ID) || string(got.Body.Bytes()) != "x" || len(got.Header) != 1 {
			t.Errorf("%s: key, id, body or header are otherwise", name)
		}
	}
}

// A partner may write CloudEvents of its own: only an id is needed.
func TestAnotherOnesCloudEventIsRead(t *testing.T) {
	w := &kgo.Record{Key: []byte("k"), Value: []byte("x"), Headers: []kgo.RecordHeader{
		{Key: "ce_id", Value: []byte("1")}, {Key: "ce_source", Value: []byte("/else")}, {Key: "ce_partner", Value: []byte("apotti")}}}
	got, err := new(Bus).read(t.Context(), w)
	if err != nil || got.foreign || got.ID != "1" || got.Header[contracts.HeaderPartner] != "apotti" || string(got.Body.Bytes()) != "x" {
		t.Errorf("it came as %+v: %v", got, err)
	}
}

// The first claim in a partition's order holds, whatever comes later, and what is no claim claims nothing.
func TestTheFirstClaimHolds(t *testing.T) {
	s := newClaims()
	if _, known := s.owner("k"); known {
		t.Error("a key is claimed before anything was read")
	}
	first := claimOf(t, "k", "d1", 1)
	late := claimOf(t, "k", "d2", 2)
	s.add([]*kgo.Record{
		{Key: []byte("k"), Partition: 2, Offset: 7, Value: []byte("nonsense")},
		{Key: []byte("l"), Partition: 2, Offset: 8, Value: late.encode()}, // under another one's key
		{Key: []byte("k"), Partition: 2, Offset: 9, Value: first.encode()},
		{Key: []byte("k"), Partition: 2, Offset: 10, Value: late.encode()},
	})
	o, known := s.owner("k")
	if !known || o.digest != short("d1") || o.name() != first.ID || !o.time().Equal(time.Unix(1, 0)) || o.nonce != first.Nonce {
		t.Errorf("the key belongs to %+v", o)
	}
	if err := s.reach(t.Context(), 2, 10); err != nil {
		t.Errorf("what was read isn't reached: %v", err)
	}
	close(s.ended)
	if err := s.reach(t.Context(), 2, 11); contracts.KindOf(err) != contracts.Unavailable {
		t.Errorf("at the end: got %v, want a fault of kind unavailable", err)
	}
}

func claimOf(t testing.TB, key contracts.Key, digest contracts.Digest, seconds int64) *claim {
	t.Helper()
	c, err := newClaim(contracts.Record{ID: contracts.DerivedID("claim", string(key), string(digest)), Time: time.Unix(seconds, 0)}, &contracts.Once{Key: key, Digest: digest})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A claim that is older than claims are kept holds no more, also while Kafka still has it.
func TestAnOldClaimIsForgotten(t *testing.T) {
	s := newClaims()
	old, fresh := claimOf(t, "k", "d1", 1), claimOf(t, "k", "d2", 2)
	old.Made -= int64(claimAge/time.Second) + 60
	s.add([]*kgo.Record{{Key: []byte("k"), Value: old.encode()}})
	if _, known := s.owner("k"); known {
		t.Error("an old claim holds")
	}
	s.add([]*kgo.Record{{Key: []byte("k"), Offset: 1, Value: fresh.encode()}})
	if o, known := s.owner("k"); !known || o.digest != short("d2") {
		t.Error("the next claim doesn't hold")
	}
}

// Two weeks of claims have to fit into memory: 1.4 million at 100,000 messages a day.
func TestClaimsAreSmall(t *testing.T) {
	const n = 20_000
	var before, after runtime.MemStats
	s := newClaims()
	c := claimOf(t, "k", "d", 1)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := 0; i < n; {
		var page []*kgo.Record
		for range 1000 {
			c.Key = contracts.Key(strconv.Itoa(i))
			page = append(page, &kgo.Record{Key: []byte(c.Key), Offset: int64(i), Value: c.encode()})
			i++
		}
		s.add(page)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapAlloc - before.HeapAlloc) / n
	t.Logf("%d bytes a claim", each)
	if len(s.bySlot) != n || each > 160 {
		t.Errorf("%d claims take %d bytes each, want at most 160", len(s.bySlot), each)
	}
}

// A process that was silent for a session isn't sure of anything until the group has answered twice.
func TestALeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lease{session: 10 * time.Second}
		if l.sure() {
			t.Error("sure before the group has answered")
		}
		l.renew(time.Now(), false)
		time.Sleep(9 * time.Second)
		if !l.sure() {
			t.Error("not sure within the session")
		}
		l.renew(time.Now().Add(-2*time.Second), true) // it took two seconds to answer
		time.Sleep(8 * time.Second)
		if l.sure() {
			t.Error("sure a session after the request was sent")
		}
		l.renew(time.Now(), true)
		if l.sure() {
			t.Error("sure by the first answer after a silence")
		}
		l.renew(time.Now(), true)
		if !l.sure() {
			t.Error("not sure by the second answer")
		}
	})
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
