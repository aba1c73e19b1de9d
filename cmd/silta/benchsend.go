package main

import (
	"bufio"
	"bytes"
	"context"
	"net"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

// dialDoor opens one sender's connection to an MLLP door.
func dialDoor(ctx context.Context, door string) (caller, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", door)
	if err != nil {
		return caller{}, err
	}
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	answers := bufio.NewReaderSize(conn, 4096)
	var out []byte
	return caller{
		send: func(_ context.Context, m generate.Message) error {
			out = append(append(append(out[:0], 0x0b), m.Bytes...), 0x1c, 0x0d)
			if _, err := conn.Write(out); err != nil {
				return err
			}
			answer, err := answers.ReadSlice(0x1c)
			if err != nil {
				return err
			}
			if !bytes.Contains(answer, []byte("\rMSA|AA|")) {
				return contracts.Faultf(contracts.Refused, "BENCH-001", "", "The hub refused a made-up message.")
			}
			_, err = answers.Discard(1)
			return err
		},
		close: func() { unhook(); conn.Close() },
	}, nil
}
