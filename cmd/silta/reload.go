package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/adapters/fhirrest"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// Reload reads the configuration, the contracts and the maps again and works by them from then on. With any fault nothing
// changes; all that were found come back at once.
//
// What has changed is opened beside what runs. Then the lanes stop and finish what they have begun, which takes as long
// as the slowest partner takes to answer, half the configuration's `stop` at most; the doors take messages all the while,
// which wait on the bus. A new hub comes in the old one's place on the same bus and ledger, and the lanes go on where they
// stopped: so nothing is lost, and each key's order stays. Partners whose contract, address and token are the same keep
// their connections. A door that changes finishes the frames that it has begun and closes its connections; its address
// stays open meanwhile, so who connects waits and isn't turned away.
func (h *house) Reload(ctx context.Context) (contracts.Reloaded, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	done, err := h.reload(ctx)
	h.metrics.Reloaded(err)
	if err != nil {
		for _, f := range contracts.FaultsOf(err) {
			h.log.WithField("kind", f.Kind).WithField("code", f.Code).Error("The configuration wasn't reloaded: " + f.Text("silta.yaml"))
		}
		return done, err
	}
	h.log.WithField("partners", done.Partners).WithField("changed", done.Changed).Info("The configuration was reloaded.")
	return done, nil
}

func (h *house) reload(ctx context.Context) (contracts.Reloaded, error) {
	if h.over || h.lanes == nil || h.reread == nil {
		return contracts.Reloaded{}, notRunning(nil)
	}
	s, agreed, err := h.reread()
	if err != nil {
		return contracts.Reloaded{}, err
	}
	if err := h.fixed(s).Err(); err != nil {
		return contracts.Reloaded{}, err
	}
	n, err := h.prepare(ctx, s, agreed)
	if err == nil {
		err = h.handOver(ctx, n)
	}
	if err != nil {
		n.discard(h)
		return contracts.Reloaded{}, err
	}
	return contracts.Reloaded{Partners: len(agreed.partners), Changed: n.changed}, nil
}

func notRunning(cause error) error {
	return &contracts.Fault{Kind: contracts.Unavailable, Code: "CFG-061", Public: "The hub isn't running, or is stopping; nothing can be reloaded.", Err: cause}
}

// fixed says what differs that only a restart can change.
func (h *house) fixed(s settings) contracts.Faults {
	var faults contracts.Faults
	was := h.settings
	key, err := s.secret(s.SecretFile)
	if err != nil {
		return contracts.FaultsOf(err)
	}
	secret, err := contracts.NewSecret(key)
	if err != nil {
		return contracts.FaultsOf(err)
	}
	for _, f := range []struct {
		key     string
		differs bool
	}{
		{"dir", s.path(s.Dir) != was.path(was.Dir)},
		{"bus", s.Bus != was.Bus},
		{"ledger", s.Ledger != was.Ledger},
		{"kafka", !reflect.DeepEqual(s.Kafka, was.Kafka)},
		{"postgres", s.Postgres != was.Postgres},
		{"secretFile", secret.Fingerprint() != h.secret.Fingerprint()},
		{"console.listen", s.Console.Listen != was.Console.Listen},
		{"fhir.listen", s.FHIR.Listen != was.FHIR.Listen},
		{"fhir.url", s.FHIR.URL != was.FHIR.URL},
		{"telemetry", s.Telemetry != was.Telemetry},
		{"log", s.Log != was.Log},
		{"stop", s.Stop != was.Stop},
	} {
		if f.differs {
			faults = append(faults, contracts.Faultf(contracts.Invalid, "CFG-062", f.key, "This can't change while the hub runs. Put it back, or restart the hub."))
		}
	}
	return faults
}

// topical is a bus whose topics must be made before they are used.
type topical interface {
	Topics(ctx context.Context, names ...string) error
}

// next is what comes in the place of what runs.
type next struct {
	settings settings
	agreed   agreements
	posts    map[string]*post
	token    []byte            // the operators'
	senders  []fhirrest.Sender // who may come in by the FHIR doors
	hub      *hub.Hub
	changed  []string // partners that are new, gone, or have another contract or token
}

// prepare opens what is new beside what runs. It isn't nil with an error: what was opened is in it.
func (h *house) prepare(ctx context.Context, s settings, agreed agreements) (*next, error) {
	n := &next{settings: s, agreed: agreed, posts: map[string]*post{}}
	var faults contracts.Faults
	for _, p := range agreed.partners {
		post, err := h.openPost(s, p, h.posts[p.ID], h.log)
		if err != nil {
			faults = append(faults, opening(p.ID, err)...)
			continue
		}
		n.posts[p.ID] = post
	}
	var err error
	if n.token, err = s.secret(s.Console.TokenFile); err != nil {
		faults = append(faults, contracts.FaultsOf(err)...)
	}
	if n.senders, err = senders(s, agreed); err != nil {
		faults = append(faults, contracts.FaultsOf(err)...)
	}
	if err := faults.Err(); err != nil {
		return n, err
	}
	n.changed = h.differing(n.posts)
	if n.hub, err = h.newHub(ctx, s, agreed, n.posts); err != nil {
		return n, err
	}
	if b, ok := h.bus.(topical); ok {
		return n, b.Topics(ctx, topicsOf(agreed.partners)...)
	}
	return n, nil
}

// opening tells of a partner that can't be opened. What isn't a fault is trouble with its address.
func opening(partner string, err error) contracts.Faults {
	var faults contracts.Faults
	var fault *contracts.Fault
	if errors.As(err, &faults) || errors.As(err, &fault) {
		return contracts.FaultsOf(err)
	}
	return contracts.Faults{{Kind: contracts.Invalid, Code: "CFG-063", At: partner, Err: err,
		Public: "The partner's door can't listen at its address. Another program has the port, or the machine hasn't the address."}}
}

func (h *house) differing(posts map[string]*post) []string {
	changed := []string{}
	for id, p := range posts {
		if old := h.posts[id]; old == nil || old.courier != p.courier || !same(old.contract, p.contract) {
			changed = append(changed, id)
		}
	}
	for id := range h.posts {
		if posts[id] == nil {
			changed = append(changed, id)
		}
	}
	slices.Sort(changed)
	return changed
}

func same(a, b *contracts.Partner) bool { return reflect.DeepEqual(a, b) }

// discard closes what was opened for nothing.
func (n *next) discard(h *house) {
	for id, p := range n.posts {
		_ = p.letGo(h.posts[id]) // what matters is why it is discarded
	}
	h.closeSockets()
}

// handOver puts n in the place of what runs, or leaves everything as it was.
func (h *house) handOver(ctx context.Context, n *next) error {
	err := h.lanes.end()
	if h.lanes.fell {
		return notRunning(err) // the house is about to end
	}
	if err != nil { // what they couldn't write down is done again, with the same ids
		f := contracts.FaultsOf(err)[0]
		h.log.WithField("kind", f.Kind).WithField("code", f.Code).Warn("The lanes stopped with a fault; they go on all the same.")
	}
	err = h.mayGo(ctx, n)
	if err == nil {
		err = h.admit(n)
	}
	if err != nil {
		h.lanes = h.begin(h.hub.Run)
		return err
	}
	before := h.posts
	h.settings, h.agreed, h.hub, h.posts = n.settings, n.agreed, n.hub, n.posts
	h.reception.hub.Store(n.hub)
	h.lanes = h.begin(n.hub.Run)
	h.setDesk(n.token)
	h.replaceDoors(before)
	for id, p := range before {
		if now := h.posts[id]; p.courier != nil && (now == nil || now.courier != p.courier) {
			_ = p.giveBack() // its connections carry nothing any more
		}
	}
	return nil
}

// mayGo refuses to let partners go for whom there are messages: nobody would deliver them.
func (h *house) mayGo(ctx context.Context, n *next) error {
	var leaving []string
	for _, id := range slices.Sorted(maps.Keys(h.posts)) {
		if h.posts[id].courier != nil && (n.posts[id] == nil || n.posts[id].courier == nil) {
			leaving = append(leaving, id)
		}
	}
	needed, err := h.hub.Unfinished(ctx, leaving)
	if err != nil {
		return err
	}
	var faults contracts.Faults
	for _, id := range needed {
		faults = append(faults, contracts.Faultf(contracts.Conflict, "CFG-064", id, "Messages for this partner aren't delivered yet, so its contract must stay. `silta list --partner` shows them; let them be delivered, or stop them, and reload again."))
	}
	return faults.Err()
}

// admit lets the senders of the FHIR doors in, and opens those doors if there were none.
func (h *house) admit(n *next) error {
	if h.fhirDoor != nil {
		return h.fhirDoor.Admit(n.senders)
	}
	opened := len(h.serve)
	if err := h.openFHIR(n.settings, n.senders); err != nil {
		return err
	}
	for _, serve := range h.serve[opened:] {
		h.others = append(h.others, h.begin(serve))
	}
	return nil
}

// replaceDoors stops the doors that have gone or changed, and then lets the new ones take messages: an address may have
// gone from one partner to another.
func (h *house) replaceDoors(before map[string]*post) {
	for id, p := range before {
		if now := h.posts[id]; p.serving != nil && (now == nil || now.door != p.door) {
			_ = p.serving.end() // a door that can't listen any more has ended the house
		}
	}
	for _, p := range h.posts {
		h.openUp(p)
	}
	h.closeSockets()
}

// rereading gives what reads a configuration again, as serve read it at first.
func rereading(file string) func() (settings, agreements, error) {
	return func() (settings, agreements, error) {
		s, err := readSettings(file)
		if err != nil && !errors.As(err, &configuration{}) {
			return s, agreements{}, configuration{&contracts.Fault{Kind: contracts.Invalid, Code: "CFG-065", File: file, Public: "The configuration can't be read.", Err: err}}
		}
		agreed, disagreed := s.readAgreements()
		return s, agreed, join(err, disagreed, s.checkSecrets(agreed.partners), s.checkTLS(agreed.partners))
	}
}

func newReload(t *terminal) *cobra.Command {
	var hub client
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the running hub read its configuration, contracts and maps again",
		Long: "Has the running hub read silta.yaml, the contracts and the maps again, as SIGHUP does. With any fault nothing\n" +
			"changes, and all that were found are told.",
		Example: "  silta check -c /srv/silta/silta.yaml && silta reload",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var done contracts.Reloaded
			if err := hub.call(cmd.Context(), "POST", "/api/v1/reload", nil, nil, &done); err != nil {
				return asUsage(err)
			}
			if t.json() {
				return t.print(done)
			}
			_, err := fmt.Fprintf(t.out, "%d contracts; changed: %s\n", done.Partners, orDash(strings.Join(done.Changed, ", ")))
			return err
		},
	}
	hub.flags(c)
	return c
}
