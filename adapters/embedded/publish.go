package embedded

import (
	"context"
	"encoding/json"

	"github.com/hoitosilta/silta/contracts"
)

// Publish keeps r and returns after the fsync that made it durable. With a claim, r is appended only if the claim is
// new; ClaimSame and ClaimOther append nothing, and Published tells the first claim's record. r.Body is only read.
//
// When ctx ends before the answer, or the disk refuses, the fault is of kind unavailable: publish again with the same
// id.
func (b *Bus) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	if r.Topic == "" {
		return contracts.Published{}, contracts.Faultf(contracts.Internal, codeRecord, "", "A record without a topic can't be published.")
	}
	leave, err := b.enter()
	if err != nil {
		return contracts.Published{}, err
	}
	defer leave()
	header, err := json.Marshal(r.Header)
	if err != nil {
		return contracts.Published{}, contracts.Faultf(contracts.Internal, codeRecord, "", "A record's header can't be written.")
	}
	req := &request{record: &r, header: header, once: once, stored: contracts.Pack(r.Body)}
	if len(req.stored) >= b.set.large {
		if req.large, err = b.bodies.write(req.stored); err != nil {
			return contracts.Published{}, writeFault(err)
		}
		req.stored = nil
	}
	done := b.writer.do(ctx, req)
	if req.large != "" && done.unused {
		// A file that stays behind is removed by the next open.
		_ = b.bodies.remove(req.large)
	}
	return done.published, done.err
}
