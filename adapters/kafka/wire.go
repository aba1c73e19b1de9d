package kafka

import (
	"context"
	"encoding/json"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hoitosilta/silta/contracts"
)

// A record is a CloudEvent in binary mode: its attributes are headers with the prefix ce_, its data is the value.
// Source: CloudEvents 1.0.2, Kafka protocol binding, section 3.2.
const (
	attribute   = "ce_"
	specVersion = "1.0"
	source      = "/silta"
	plainType   = "silta.record" // ce_type of a record that has no type
	piecesName  = "bodypieces"   // where a large body's pieces are, as JSON
)

// pieceBytes is how much of a large body goes into one record. Brokers take 1 MB by default.
const pieceBytes = 900 << 10

// pieces tells where a large body is: at these offsets of one partition of the topic of bodies.
type pieces struct {
	Partition int32   `json:"partition"`
	Offsets   []int64 `json:"offsets"`
}

// write gives r as it goes to the cluster. A large body is there already when write returns.
func (b *Bus) write(ctx context.Context, r contracts.Record) (*kgo.Record, error) {
	value := contracts.Pack(r.Body)
	w := &kgo.Record{Topic: r.Topic, Key: []byte(r.Key), Value: value, Timestamp: r.Time}
	kind := r.Header[contracts.HeaderType]
	if kind == "" {
		kind = plainType
	}
	set := func(name, value string) {
		w.Headers = append(w.Headers, kgo.RecordHeader{Key: attribute + name, Value: []byte(value)})
	}
	set("specversion", specVersion)
	set("source", source)
	set("id", string(r.ID))
	set("type", kind)
	set("time", r.Time.UTC().Format(time.RFC3339Nano))
	for name, value := range r.Header {
		if name != contracts.HeaderType {
			set(name, value)
		}
	}
	if len(value) < pieceBytes {
		return w, nil
	}
	kept, err := b.writePieces(ctx, r.ID, value)
	if err != nil {
		return nil, err
	}
	where, err := json.Marshal(kept)
	if err != nil {
		return nil, publishFault(err)
	}
	set(piecesName, string(where))
	w.Value = nil
	return w, nil
}

// writePieces publishes a large body. All pieces have one key, so they lie in one partition.
func (b *Bus) writePieces(ctx context.Context, id contracts.ID, value []byte) (pieces, error) {
	var where pieces
	for len(value) > 0 {
		n := min(len(value), pieceBytes)
		kept, err := b.produce(ctx, &kgo.Record{Topic: b.c.Names + "body", Key: []byte(id), Value: value[:n]})
		if err != nil {
			return where, err
		}
		where.Partition, where.Offsets = kept.Partition, append(where.Offsets, kept.Offset)
		value = value[n:]
	}
	return where, nil
}

// read gives a record as the hub knows it.
func (b *Bus) read(ctx context.Context, w *kgo.Record) (contracts.Record, error) {
	r := contracts.Record{Topic: w.Topic, Key: contracts.Key(w.Key), Time: w.Timestamp.UTC(), Header: map[string]string{},
		Place: contracts.Place{Topic: w.Topic, Partition: w.Partition, Offset: w.Offset}}
	value := w.Value
	for _, h := range w.Headers {
		if len(h.Key) <= len(attribute) || h.Key[:len(attribute)] != attribute {
			continue
		}
		switch name, text := h.Key[len(attribute):], string(h.Value); name {
		case "specversion", "source":
		case "id":
			r.ID = contracts.ID(text)
		case "time": // finer than the record's own timestamp, which has milliseconds
			if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
				r.Time = at.UTC()
			}
		case "type":
			if text != plainType {
				r.Header[contracts.HeaderType] = text
			}
		case piecesName:
			var err error
			if value, err = b.readPieces(ctx, h.Value); err != nil {
				return contracts.Record{}, err
			}
		default:
			r.Header[name] = text
		}
	}
	body, err := contracts.Unpack(value)
	if err != nil {
		return contracts.Record{}, err
	}
	r.Body = body
	return r, nil
}

func (b *Bus) readPieces(ctx context.Context, where []byte) ([]byte, error) {
	var p pieces
	if err := json.Unmarshal(where, &p); err != nil {
		return nil, fault(contracts.Internal, codeRecord, "A record's note on where its body is can't be read.", err)
	}
	var value []byte
	for _, offset := range p.Offsets {
		w, err := b.fetch(ctx, contracts.Place{Topic: b.c.Names + "body", Partition: p.Partition, Offset: offset})
		if err != nil {
			return nil, err
		}
		value = append(value, w.Value...)
	}
	return value, nil
}
