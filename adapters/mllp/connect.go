package mllp

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// reconnecting gives the waits between attempts to connect: anything from nothing up to a limit that doubles from
// 100 ms to 5 s, so that the couriers of many hubs don't come back all at once.
func reconnecting() backoff.ExponentialBackOff {
	// A wait lies between nothing and twice its interval, with this factor.
	return backoff.ExponentialBackOff{InitialInterval: 50 * time.Millisecond, Multiplier: 2, MaxInterval: 2500 * time.Millisecond, RandomizationFactor: 1}
}

// connect makes one attempt within the contract's time. Soon after one that failed it waits before, at most half that
// time.
func (c *Courier) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.settings.Connect)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	if err := c.pause(ctx); err != nil {
		return nil, unavailable(CodeNoConnection, "The partner's listener couldn't be reached before, and there was no time to wait and try again; nothing was sent.", err)
	}
	conn, err := c.dial(ctx, c.settings.To)
	if err != nil {
		c.reached(false)
		return nil, unavailable(CodeNoConnection, "The partner's listener can't be reached; nothing was sent. Check its address, and whether it runs.", err)
	}
	if c.tls != nil {
		secured := tls.Client(conn, c.tls.current())
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // what matters is err
			c.reached(false)
			return nil, unavailable(CodeNoTrust, "TLS with the partner failed: "+reason(err)+"; nothing was sent.", untrusted(err))
		}
		conn = secured
	}
	c.reached(true)
	return conn, nil
}

// pause waits until the next attempt is due.
func (c *Courier) pause(ctx context.Context) error {
	c.mu.Lock()
	wait := min(time.Until(c.due), c.settings.Connect/2)
	c.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reached remembers how an attempt to connect ended, and when the next one is due.
func (c *Courier) reached(ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok {
		c.due = time.Time{}
		c.pauses.Reset()
		return
	}
	c.due = time.Now().Add(c.pauses.NextBackOff())
}
