package custody

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/adapters/embedded"
	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
)

// sickBus and sickLedger are stores that can be told to be down, and note what they are asked to forget.
type sickBus struct {
	hub.Bus
	down    error
	trimmed map[string][]contracts.Place
	before  []time.Time
}

func (b *sickBus) Health(context.Context) error { return b.down }

func (b *sickBus) Trim(_ context.Context, topic string, before time.Time, keep []contracts.Place) error {
	b.trimmed[topic] = keep
	b.before = append(b.before, before)
	return nil
}

type sickLedger struct {
	hub.Ledger
	down    error
	expired []time.Time
}

func (l *sickLedger) Health(context.Context) error { return l.down }

func (l *sickLedger) Expire(_ context.Context, before time.Time) (int64, error) {
	l.expired = append(l.expired, before)
	return 3, l.down
}

func (l *sickLedger) Parked(_ context.Context, topic string) ([]contracts.Place, error) {
	if topic == contracts.ParkTopic("hus") {
		return []contracts.Place{{Topic: topic, Offset: 4}}, l.down
	}
	return nil, nil
}

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// sick is a hub at noon on stores that can be told to be down. It doesn't run.
func sick(t *testing.T) (*hub.Hub, *sickBus, *sickLedger) {
	t.Helper()
	dir := t.TempDir()
	b, err := embedded.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	l, err := ledger.Open(filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	maps, err := mappings.Load(mappings.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := contracts.NewSecret([]byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(t.Output())
	bus, book := &sickBus{Bus: b, trimmed: map[string][]contracts.Place{}}, &sickLedger{Ledger: l}
	h, err := hub.New(t.Context(), hub.Config{
		Partners: []*contracts.Partner{partner(t, "clinic", "{events: [request], to: [hus]}"), partner(t, "hus", "")},
		Maps:     maps, Bus: bus, Ledger: book, Couriers: map[string]hub.Courier{"clinic": newReceiver(), "hus": newReceiver()},
		Secret: secret, Now: func() time.Time { return noon }, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, bus, book
}

func TestNothingIsForgottenUnlessItIsSaid(t *testing.T) {
	h, bus, book := sick(t)
	if err := h.Expire(t.Context(), 0, 0); err != nil || len(bus.trimmed) > 0 || len(book.expired) > 0 {
		t.Errorf("without a word %v and %v are forgotten: %v", bus.trimmed, book.expired, err)
	}
}

func TestWhatIsOldIsForgottenButNotWhatIsParked(t *testing.T) {
	h, bus, book := sick(t)
	if err := h.Expire(t.Context(), 24*time.Hour, 48*time.Hour); err != nil {
		t.Fatal(err)
	}
	if len(book.expired) != 1 || !book.expired[0].Equal(noon.AddDate(0, 0, -2)) {
		t.Errorf("the ledger forgets what is older than %v", book.expired)
	}
	for _, before := range bus.before {
		if !before.Equal(noon.AddDate(0, 0, -1)) {
			t.Errorf("the bus forgets what is older than %v", before)
		}
	}
	for _, topic := range []string{contracts.TopicIn, contracts.TopicDead, contracts.OutTopic("clinic"), contracts.OutTopic("hus"), contracts.ParkTopic("clinic"), contracts.ParkTopic("hus")} {
		if _, asked := bus.trimmed[topic]; !asked {
			t.Errorf("%s is never trimmed", topic)
		}
	}
	if keep := bus.trimmed[contracts.ParkTopic("hus")]; len(keep) != 1 || keep[0].Offset != 4 {
		t.Errorf("of what is parked %v is kept", keep)
	}
	if keep := bus.trimmed[contracts.TopicBody]; len(keep) != 1 || keep[0].Topic != contracts.ParkTopic("hus") {
		t.Errorf("of bodies those of %v are kept", keep)
	}
}

func TestWhatIsParkedStaysWhenTheLedgerCannotSayWhatIs(t *testing.T) {
	h, bus, book := sick(t)
	book.down = contracts.Faultf(contracts.Unavailable, "LED-001", "", "Down.")
	if err := h.Expire(t.Context(), 24*time.Hour, 48*time.Hour); contracts.KindOf(err) != contracts.Unavailable {
		t.Errorf("a ledger that is down is told of as %v", err)
	}
	if _, trimmed := bus.trimmed[contracts.ParkTopic("hus")]; trimmed {
		t.Error("the park topic was trimmed although nobody knows what is parked")
	}
	if _, trimmed := bus.trimmed[contracts.TopicIn]; !trimmed {
		t.Error("one topic that fails keeps the others from being trimmed")
	}
}

func TestTheHubIsReadyWithoutItsLedgerAndNotWithoutItsBus(t *testing.T) {
	h, bus, book := sick(t)
	if r := h.Ready(t.Context()); len(r.Missing)+len(r.Degraded)+len(r.Paused) > 0 {
		t.Errorf("a hub that is well lacks %v", r)
	}
	book.down = contracts.Faultf(contracts.Unavailable, "LED-001", "", "The disk is full.")
	r := h.Ready(t.Context())
	if len(r.Missing) != 0 || len(r.Degraded) != 1 || !strings.HasPrefix(r.Degraded[0], "ledger: The disk is full.") {
		t.Errorf("without the ledger it lacks %v", r)
	}
	bus.down = contracts.Faultf(contracts.Unavailable, "BUS-001", "", "No leader.")
	if r = h.Ready(t.Context()); !slices.Equal(r.Missing, []string{"bus: No leader."}) {
		t.Errorf("without the bus it lacks %v", r)
	}
	f := h.Figures(t.Context())
	if f.Bus || f.Ledger || len(f.Topics) != 4 || len(f.Paused) != 2 {
		t.Errorf("its figures are %+v", f)
	}
}
