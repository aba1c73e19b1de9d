package hub

import (
	"context"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Bus carries records durably, in order per key. Two implementations stand behind it (adapters/embedded,
// adapters/kafka) and one conformance suite that both pass (testfixtures/busconformance).
type Bus interface {
	// Publish returns when r is durable. With a claim, r is appended only if the claim is new or the same; then
	// Published tells which, and since when. An error means "unknown": publish again with the same id.
	// A claim that is ClaimSame doesn't append a second copy where the bus can tell (embedded); where it can't
	// (Kafka) a copy does no harm, because everything behind is keyed by id.
	Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error)

	// Consume hands every record of topic to handle on behalf of group, beginning behind what the group has
	// finished: in order for each key, up to lanes keys at once. A nil from handle finishes the record; an error
	// makes the same record come again after a pause, its key waiting behind it, all other keys flowing. What is
	// committed is the low watermark, so after a crash finished records can come again. Consume returns when ctx
	// ends and every running handle has returned; records that weren't begun stay. One call a group and topic.
	// handle's own context doesn't end with ctx, but when the process learns that the key isn't its own any more:
	// always before Owns says that it is its own again.
	Consume(ctx context.Context, topic, group string, lanes int, handle func(context.Context, contracts.Record) error) error

	// Read gives the record at a place; a fault of kind notfound if there is none (any more).
	Read(ctx context.Context, place contracts.Place) (contracts.Record, error)

	// Replay gives the chosen records, oldest first, without touching what groups have finished.
	Replay(ctx context.Context, choice contracts.Replay, each func(contracts.Record) error) error

	// Pause stops handing out a topic's records to a group until Resume; what runs, runs on.
	Pause(topic, group string)
	Resume(topic, group string)

	// Owns says whether this process works a key now, on behalf of a group that it consumes for. With one process it
	// always does. Where several share a topic it is the one that has the key's partition, as far as it can know
	// without asking: one that was stopped for longer than the others wait for it doesn't own anything.
	Owns(topic, group string, key contracts.Key) bool

	// Hold keeps a key with this process until release is called, so that what waits behind it can be worked outside
	// of a lane: the key's partition isn't handed over before, but for as long as a handover may take. held is false
	// when the process doesn't own the key; lane and release are nil then. lane ends as handle's own context does.
	Hold(topic, group string, key contracts.Key) (lane context.Context, release func(), held bool)

	// Trim forgets the records of a topic that are older than before, beginning with the oldest and ending at the first
	// that is younger, that a group hasn't finished, or that stands at one of the places in keep. It may keep more
	// than it must. Places don't change.
	Trim(ctx context.Context, topic string, before time.Time, keep []contracts.Place) error

	// Lag counts the records that group hasn't finished.
	Lag(ctx context.Context, topic, group string) (int64, error)

	// Health is nil when publishing would work now.
	Health(ctx context.Context) error
}

// Ledger keeps what happened. It makes translating and delivering idempotent, and it is what people look at.
// One conformance suite (testfixtures/ledgerconformance) says what each method does.
type Ledger interface {
	// Apply writes a change whole or not at all; see contracts.Change for what it refuses.
	Apply(ctx context.Context, c contracts.Change) error

	// Entry, Delivery, Journey and Body give one row; a fault of kind notfound if there is none.
	Entry(ctx context.Context, id contracts.ID) (contracts.Entry, error)
	Delivery(ctx context.Context, id contracts.ID) (contracts.Delivery, error)
	Journey(ctx context.Context, id contracts.ID) (contracts.Journey, error)
	Body(ctx context.Context, d contracts.Digest) (contracts.Body, error)

	// Deliveries of an incoming message, in the order of receivers.
	Deliveries(ctx context.Context, message contracts.ID) ([]contracts.Delivery, error)

	// Lookup finds identifiers by value; partner and kind narrow it where they aren't empty.
	Lookup(ctx context.Context, partner, kind, value string) ([]contracts.Identifier, error)
	// Identifiers of a journey, and the partners' names of it.
	Identifiers(ctx context.Context, journey contracts.ID) ([]contracts.Identifier, error)

	// Key gives a key's state; KeyLive for one that the ledger doesn't know.
	Key(ctx context.Context, ref contracts.KeyRef) (contracts.KeyState, error)
	// Waiting gives the first message behind each spilled key of topic that is due, at most limit of them.
	Waiting(ctx context.Context, topic string, now time.Time, limit int) ([]contracts.Waiting, error)
	// Behind gives all that waits behind one key, in order.
	Behind(ctx context.Context, ref contracts.KeyRef) ([]contracts.Waiting, error)

	// Parked gives the places in a park topic at which the bytes of waiting messages lie, oldest first by partition.
	Parked(ctx context.Context, topic string) ([]contracts.Place, error)

	// Unsettled says whether a message of a key that was received before a time isn't delivered, refused or stopped yet,
	// for each of its receivers.
	Unsettled(ctx context.Context, key contracts.Key, before time.Time) (bool, error)

	// Pauses gives the partners that an operator paused.
	Pauses(ctx context.Context) ([]contracts.Pause, error)

	// Activations gives all activations of maps, in the order in which they were made.
	Activations(ctx context.Context) ([]contracts.Activation, error)

	// Issues gives the issues that Change.Raise opened, the one with the newest message first.
	Issues(ctx context.Context) ([]contracts.Issue, error)

	// Expire forgets messages that were received before a time, with all that belongs to them, and counts them. One
	// that isn't settled (delivered, refused or stopped, for each receiver) stays, and so does what its journey needs.
	// It works in portions that don't hold up Apply for long, and may keep more than it must.
	Expire(ctx context.Context, before time.Time) (int64, error)

	// Steps of a journey's messages, or of one message, with their deliveries', oldest first.
	JourneySteps(ctx context.Context, journey contracts.ID) ([]contracts.Step, error)
	MessageSteps(ctx context.Context, message contracts.ID) ([]contracts.Step, error)
	// JourneyEntries gives a journey's messages, oldest first.
	JourneyEntries(ctx context.Context, journey contracts.ID) ([]contracts.Entry, error)

	// List gives rows, newest first. State is the entry's, or the least advanced of its deliveries'.
	List(ctx context.Context, f contracts.Filter) ([]contracts.Row, error)
	// Find gives the rows that any id names: ours, a message's control id, a journey's, or any identifier.
	Find(ctx context.Context, id string) ([]contracts.Row, error)

	// Fix keeps a value under a name for good: the first write wins, and the value that holds is returned.
	Fix(ctx context.Context, name, value string) (string, error)

	// Health is nil when Apply would work now.
	Health(ctx context.Context) error
}

// Courier takes parcels to one partner. Deliver returns when the partner's answer was understood, or with a fault:
// unavailable is tried again with the same bytes, refused, invalid and conflict park. Answer.Unknown tells that the
// partner may have got the bytes all the same.
type Courier interface {
	Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error)
}
