// Servers runs real Apache Kafka brokers and a PostgreSQL on this machine until it is interrupted: for trying
// `silta demo --bus … --ledger …` and for `silta bench flow`. Everything lies in a new folder that goes with it.
//
//	go run ./testfixtures/servers -brokers 3
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hoitosilta/silta/testfixtures/kafka"
)

func main() {
	brokers := flag.Int("brokers", 3, "Kafka brokers, 0 to 9; fewer than three need ?development=true")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *brokers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// startWithin bounds the start; the first time, jars are fetched in it.
const startWithin = 5 * time.Minute

func run(ctx context.Context, brokers int) (err error) {
	dir, err := os.MkdirTemp("", "silta-servers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	starting, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if brokers > 0 {
		cluster, err := kafka.Open(starting, dir, kafka.Options{Brokers: brokers})
		if err != nil {
			return err
		}
		defer cluster.Close()
		fmt.Println("kafka://" + strings.Join(cluster.Addresses(), ","))
	}
	<-ctx.Done()
	return nil
}
