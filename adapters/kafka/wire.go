package kafka

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hoitosilta/silta/contracts"
)

// A record is a CloudEvent in binary mode: its attributes are headers with the prefix ce_, its data is the value, as it
// is. contracts/schema/asyncapi.yaml describes all of it. Sources: CloudEvents 1.0.2, Kafka protocol binding, section
// 3.2; the extensions partitioning, distributed tracing and dataref.
const (
	attribute    = "ce_"
	specVersion  = "1.0"
	source       = "/silta/" // before the topic: one id stands in several
	plainType    = "silta.record"
	contentType  = "content-type"
	envelopeName = "envelope" // in hexadecimal, what the stored form of a body begins with; see contracts.Pack
	datarefName  = "dataref"  // where a large body's pieces are, as TOPIC?partition=N&offset=N&offset=N…
	claimName    = "claim"    // the claim that the record came under
)

// envelopeBytes is the length of an envelope, and plainEnvelope the one of bytes that are stored as they are.
var (
	plainBytes    = contracts.Pack(contracts.Body{})
	envelopeBytes = len(plainBytes)
	plainEnvelope = hex.EncodeToString(plainBytes)
)

// contentTypes by the record's format. Source for HL7 v2: HL7 over HTTP, as HAPI has it.
var contentTypes = map[string]string{contracts.FormatV2: "application/hl7-v2", contracts.FormatFHIR: "application/fhir+json"}

// pieceBytes is how much of a large body goes into one record. Brokers take 1 MB by default.
const pieceBytes = 900 << 10

// write gives r as it goes to the cluster, under a claim if there is one. A large body is there already when write
// returns. The result shares the body's memory.
func (b *Bus) write(ctx context.Context, r contracts.Record, c *claim) (*kgo.Record, error) {
	w := &kgo.Record{Topic: r.Topic, Key: []byte(r.Key), Value: r.Body.Bytes(), Timestamp: r.Time, Headers: make([]kgo.RecordHeader, 0, len(r.Header)+10)}
	set := func(name, value string) {
		w.Headers = append(w.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	kind, content := r.Header[contracts.HeaderType], contentTypes[r.Header[contracts.HeaderFormat]]
	if kind == "" {
		kind = plainType
	}
	if content == "" {
		content = "application/octet-stream"
	}
	set(attribute+"specversion", specVersion)
	set(attribute+"source", source+r.Topic)
	set(attribute+"id", string(r.ID))
	set(attribute+"type", kind)
	set(attribute+"time", r.Time.UTC().Format(time.RFC3339Nano))
	set(attribute+"partitionkey", string(r.Key))
	set(attribute+envelopeName, plainEnvelope)
	set(contentType, content)
	for name, value := range r.Header {
		if name != contracts.HeaderType {
			set(attribute+name, value)
		}
	}
	if c != nil {
		set(attribute+claimName, string(c.encode()))
	}
	if len(w.Value) >= pieceBytes {
		where, err := b.writePieces(ctx, r.ID, w.Value)
		if err != nil {
			return nil, err
		}
		set(attribute+datarefName, where)
		w.Value = nil
	}
	return w, nil
}

// writePieces publishes a large body and tells where it is. All pieces have one key, so they lie in one partition.
func (b *Bus) writePieces(ctx context.Context, id contracts.ID, value []byte) (string, error) {
	var parts []*kgo.Record
	for len(value) > 0 {
		n := min(len(value), pieceBytes)
		parts = append(parts, &kgo.Record{Topic: b.c.bodyTopic(), Key: []byte(id), Value: value[:n]})
		value = value[n:]
	}
	if err := b.produce(ctx, parts...); err != nil {
		return "", err
	}
	where := url.Values{"partition": {fmt.Sprint(parts[0].Partition)}}
	for _, p := range parts {
		where.Add("offset", fmt.Sprint(p.Offset))
	}
	return b.c.bodyTopic() + "?" + where.Encode(), nil
}

// entered is a record as it was read: as the hub knows it, with the claim that it came under. One that no Silta wrote, or
// that can't be read any more, is foreign: its header holds nothing but the fault that says so.
type entered struct {
	contracts.Record
	claim   *claim
	foreign bool
}

// read gives a record as the hub knows it. The record shares w's memory.
func (b *Bus) read(ctx context.Context, w *kgo.Record) (entered, error) {
	e := entered{Record: contracts.Record{Topic: w.Topic, Key: contracts.Key(w.Key), Time: w.Timestamp.UTC(), Header: map[string]string{},
		Body: contracts.NewBody(w.Value), Place: contracts.Place{Topic: w.Topic, Partition: w.Partition, Offset: w.Offset}}}
	var envelope, dataref string
	for _, h := range w.Headers {
		if len(h.Key) <= len(attribute) || h.Key[:len(attribute)] != attribute {
			continue
		}
		switch name, text := h.Key[len(attribute):], string(h.Value); name {
		case "specversion", "source", "partitionkey":
		case "id":
			e.ID = contracts.ID(text)
		case "time": // finer than the record's own timestamp, which has milliseconds
			if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
				e.Time = at.UTC()
			}
		case "type":
			if text != plainType {
				e.Header[contracts.HeaderType] = text
			}
		case envelopeName:
			envelope = text
		case datarefName:
			dataref = text
		case claimName:
			e.claim = &claim{}
			if err := json.Unmarshal(h.Value, e.claim); err != nil {
				return foreign(w), nil
			}
		default:
			e.Header[name] = text
		}
	}
	if e.ID == "" {
		return foreign(w), nil
	}
	if dataref != "" {
		whole, err := b.readPieces(ctx, dataref)
		if kind := contracts.KindOf(err); kind == contracts.NotFound || kind == contracts.Internal {
			return foreign(w), nil
		} else if err != nil {
			return entered{}, err
		}
		e.Body = contracts.NewBody(whole)
	}
	if envelope != "" && envelope != plainEnvelope {
		head, err := hex.DecodeString(envelope)
		if err != nil || len(head) != envelopeBytes {
			return foreign(w), nil
		}
		if e.Body, err = contracts.Unpack(append(head, e.Body.Bytes()...)); err != nil {
			return foreign(w), nil
		}
	}
	return e, nil
}

// foreign gives a record that can't be read as one of ours: under an id that its place makes, without its key, which may
// be anything.
func foreign(w *kgo.Record) entered {
	place := contracts.Place{Topic: w.Topic, Partition: w.Partition, Offset: w.Offset}
	at := fmt.Sprintf("%s/%d/%d", w.Topic, w.Partition, w.Offset)
	text, _ := json.Marshal(contracts.Faultf(contracts.Invalid, codeForeign, at, "This record wasn't written by Silta, or can't be read any more.")) // never fails
	id := contracts.DerivedID("foreign", at)
	return entered{foreign: true, Record: contracts.Record{Topic: w.Topic, Key: contracts.Key(id), ID: id, Time: w.Timestamp.UTC(),
		Header: map[string]string{contracts.HeaderFault: string(text)}, Body: contracts.NewBody(w.Value), Place: place}}
}

// pieces reads a dataref; none if it isn't one of ours.
func (b *Bus) pieces(dataref string) []contracts.Place {
	u, err := url.Parse(dataref)
	if err != nil || u.Path != b.c.bodyTopic() {
		return nil
	}
	partition, err := strconv.ParseInt(u.Query().Get("partition"), 10, 32)
	if err != nil {
		return nil
	}
	var places []contracts.Place
	for _, text := range u.Query()["offset"] {
		offset, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil
		}
		places = append(places, contracts.Place{Topic: u.Path, Partition: int32(partition), Offset: offset})
	}
	return places
}

func (b *Bus) readPieces(ctx context.Context, dataref string) ([]byte, error) {
	places := b.pieces(dataref)
	if places == nil {
		return nil, fault(contracts.Internal, codeRecord, "A record's note on where its body is can't be read.", nil)
	}
	var value []byte
	for _, place := range places {
		w, err := b.one(ctx, place)
		if err != nil {
			return nil, err
		}
		value = append(value, w.Value...)
	}
	return value, nil
}
