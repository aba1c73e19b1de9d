package ledgerconformance

import (
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

var keyTests = []test{
	{"a key that nobody wrote is live", keyIsLive},
	{"a key's state is the latest that was written", keyFollows},
	{"messages wait behind a key in the order in which they came", waitInOrder},
	{"a message that waits already is moved, not doubled", waitMoved},
	{"only the first message behind a key comes, when it is due", firstOnly},
	{"nothing comes from behind a parked key", parkedStays},
	{"the longest due come first, and no more than were asked for", dueFirst},
	{"a message takes the place of one that waits, and only of such a one", replaced},
	{"a key revives when nothing waits behind it", revives},
	{"a message that joins stops a key from reviving", joinsFirst},
}

func ref(key string) contracts.KeyRef {
	return contracts.KeyRef{Topic: contracts.TopicIn, Key: contracts.Key(key)}
}

func spilled(key string, n int) contracts.KeyState {
	return contracts.KeyState{KeyRef: ref(key), Condition: contracts.KeySpilled, Since: start, Message: incoming(n), Fault: fault(contracts.Unavailable, "")}
}

// waiting is message n behind a key, due n seconds after start.
func waiting(n int, key string) contracts.Waiting {
	at := after(time.Duration(n) * time.Second)
	return contracts.Waiting{KeyRef: ref(key), Message: incoming(n), Park: contracts.Place{Topic: contracts.ParkTopic("hus"), Partition: 1, Offset: int64(n)},
		Since: at, Due: at, Attempts: n}
}

func behind(t *testing.T, l hub.Ledger, key string) []contracts.ID {
	t.Helper()
	out := []contracts.ID{}
	var last int64 = -1
	for _, w := range must(l.Behind(t.Context(), ref(key)))(t) {
		if w.Seq <= last {
			t.Errorf("seq %d comes behind %d", w.Seq, last)
		}
		last = w.Seq
		out = append(out, w.Message)
	}
	return out
}

func due(t *testing.T, l hub.Ledger, now time.Time, limit int) []contracts.ID {
	t.Helper()
	out := []contracts.ID{}
	for _, w := range must(l.Waiting(t.Context(), contracts.TopicIn, now, limit))(t) {
		out = append(out, w.Message)
	}
	return out
}

func keyIsLive(t *testing.T, l hub.Ledger) {
	equal(t, "key", must(l.Key(t.Context(), ref("k1")))(t), contracts.KeyState{KeyRef: ref("k1"), Condition: contracts.KeyLive})
}

func keyFollows(t *testing.T, l hub.Ledger) {
	want := spilled("k1", 1)
	apply(t, l, contracts.Change{Keys: []contracts.KeyState{want}})
	equal(t, "key", must(l.Key(t.Context(), ref("k1")))(t), want)
	want.Condition, want.Since, want.Message, want.Fault = contracts.KeyParked, after(time.Minute), incoming(2), fault(contracts.Refused, "MSA-1")
	apply(t, l, contracts.Change{Keys: []contracts.KeyState{want}})
	equal(t, "key", must(l.Key(t.Context(), ref("k1")))(t), want)
	equal(t, "same key of another topic", must(l.Key(t.Context(), contracts.KeyRef{Topic: contracts.OutTopic("hus"), Key: "k1"}))(t).Condition, contracts.KeyLive)
}

func waitInOrder(t *testing.T, l hub.Ledger) {
	apply(t, l, contracts.Change{Keys: []contracts.KeyState{spilled("k1", 3), spilled("k2", 4)}, Wait: []contracts.Waiting{waiting(3, "k1"), waiting(1, "k1")}})
	apply(t, l, contracts.Change{Wait: []contracts.Waiting{waiting(4, "k2")}})
	apply(t, l, contracts.Change{Wait: []contracts.Waiting{waiting(2, "k1")}})
	equal(t, "behind k1", behind(t, l, "k1"), []contracts.ID{incoming(3), incoming(1), incoming(2)})
	equal(t, "behind k2", behind(t, l, "k2"), []contracts.ID{incoming(4)})
	got := must(l.Behind(t.Context(), ref("k2")))(t)[0]
	want := waiting(4, "k2")
	want.Seq = got.Seq
	equal(t, "waiting message", got, want)
	apply(t, l, contracts.Change{Done: []contracts.Waiting{waiting(3, "k1"), waiting(2, "k1")}})
	apply(t, l, contracts.Change{Wait: []contracts.Waiting{waiting(5, "k1")}})
	equal(t, "behind k1 later", behind(t, l, "k1"), []contracts.ID{incoming(1), incoming(5)})
}

func waitMoved(t *testing.T, l hub.Ledger) {
	apply(t, l, contracts.Change{Keys: []contracts.KeyState{spilled("k1", 1)}, Wait: []contracts.Waiting{waiting(1, "k1"), waiting(2, "k1")}})
	before := must(l.Behind(t.Context(), ref("k1")))(t)
	moved := waiting(1, "k1")
	moved.Due, moved.Attempts, moved.Since = after(time.Hour), 5, after(time.Minute)
	apply(t, l, contracts.Change{Wait: []contracts.Waiting{moved}})
	before[0].Due, before[0].Attempts = moved.Due, moved.Attempts
	equal(t, "behind", must(l.Behind(t.Context(), ref("k1")))(t), before)
}

func firstOnly(t *testing.T, l hub.Ledger) {
	first := waiting(60, "k1")
	apply(t, l, contracts.Change{Keys: []contracts.KeyState{spilled("k1", 60)}, Wait: []contracts.Waiting{first, waiting(1, "k1")}})
	equal(t, "due too early", due(t, l, after(59*time.Second), 10), []contracts.ID{})
	equal(t, "due in time", due(t, l, after(60*time.Second), 10), []contracts.ID{incoming(60)})
	equal(t, "of another topic", len(must(l.Waiting(t.Context(), contracts.OutTopic("hus"), after(time.Hour), 10))(t)), 0)
	apply(t, l, contracts.Change{Done: []contracts.Waiting{first}})
	equal(t, "due behind it", due(t, l, after(59*time.Second), 10), []contracts.ID{incoming(1)})
}

func replaced(t *testing.T, l hub.Ledger) {
	apply(t, l, contracts.Change{Keys: []contracts.KeyState{spilled("k1", 1)}, Wait: []contracts.Waiting{waiting(1, "k1"), waiting(2, "k1"), waiting(3, "k1")}})
	before := must(l.Behind(t.Context(), ref("k1")))(t)
	by := waiting(7, "k1")
	by.Seq = 99
	change := contracts.Change{Replace: []contracts.Replacement{{Old: incoming(2), By: by}}}
	apply(t, l, change)
	by.Seq = before[1].Seq
	before[1] = by
	equal(t, "behind", must(l.Behind(t.Context(), ref("k1")))(t), before)
	refuse(t, l, change, "message")
	for what, r := range map[string]contracts.Replacement{
		"of another key's message":       {Old: incoming(1), By: waiting(8, "k2")},
		"by one that waits there itself": {Old: incoming(1), By: waiting(3, "k1")},
		"of a message that is done":      {Old: incoming(4), By: waiting(8, "k1")},
	} {
		t.Run(what, func(t *testing.T) { refuse(t, l, contracts.Change{Replace: []contracts.Replacement{r}}, "message") })
	}
	again := waiting(1, "k1")
	again.Park.Offset, again.Seq = 400, before[0].Seq
	apply(t, l, contracts.Change{Replace: []contracts.Replacement{{Old: incoming(1), By: again}}})
	before[0] = again
	equal(t, "behind, after the bytes of one moved", must(l.Behind(t.Context(), ref("k1")))(t), before)
}

func parkedStays(t *testing.T, l hub.Ledger) {
	parked := spilled("k1", 1)
	parked.Condition = contracts.KeyParked
	apply(t, l, contracts.Change{Keys: []contracts.KeyState{parked}, Wait: []contracts.Waiting{waiting(1, "k1")}})
	equal(t, "due while parked", due(t, l, after(time.Hour), 10), []contracts.ID{})
	apply(t, l, contracts.Change{Wait: []contracts.Waiting{waiting(2, "k1")}})
	apply(t, l, contracts.Change{Keys: []contracts.KeyState{spilled("k1", 1)}})
	equal(t, "due once spilled", due(t, l, after(time.Hour), 10), []contracts.ID{incoming(1)})
}

func dueFirst(t *testing.T, l hub.Ledger) {
	for _, n := range []int{4, 2, 5, 3, 1} {
		key := control(n)
		apply(t, l, contracts.Change{Keys: []contracts.KeyState{spilled(key, n)}, Wait: []contracts.Waiting{waiting(n, key)}})
	}
	equal(t, "due", due(t, l, after(4*time.Second), 3), []contracts.ID{incoming(1), incoming(2), incoming(3)})
}

func revives(t *testing.T, l hub.Ledger) {
	apply(t, l, contracts.Change{Keys: []contracts.KeyState{spilled("k1", 1)}, Wait: []contracts.Waiting{waiting(1, "k1"), waiting(2, "k1")}})
	apply(t, l, contracts.Change{Done: []contracts.Waiting{waiting(1, "k1")}, Revive: []contracts.KeyRef{ref("k1")}})
	equal(t, "condition while one waits", must(l.Key(t.Context(), ref("k1")))(t).Condition, contracts.KeySpilled)
	last := contracts.Change{Done: []contracts.Waiting{waiting(2, "k1")}, Revive: []contracts.KeyRef{ref("k1")}}
	for range 2 {
		apply(t, l, last)
		equal(t, "key", must(l.Key(t.Context(), ref("k1")))(t), contracts.KeyState{KeyRef: ref("k1"), Condition: contracts.KeyLive})
	}
	refuse(t, l, contracts.Change{Wait: []contracts.Waiting{waiting(3, "k1")}}, "key")
}

func joinsFirst(t *testing.T, l hub.Ledger) {
	apply(t, l, contracts.Change{Keys: []contracts.KeyState{spilled("k1", 1)}, Wait: []contracts.Waiting{waiting(1, "k1")}})
	apply(t, l, contracts.Change{Done: []contracts.Waiting{waiting(1, "k1")}, Wait: []contracts.Waiting{waiting(2, "k1")}, Revive: []contracts.KeyRef{ref("k1")}})
	equal(t, "condition", must(l.Key(t.Context(), ref("k1")))(t).Condition, contracts.KeySpilled)
	equal(t, "behind", behind(t, l, "k1"), []contracts.ID{incoming(2)})
}
