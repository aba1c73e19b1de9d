// Servers runs real Apache Kafka brokers and a PostgreSQL on this machine until it is interrupted: for trying
// `silta demo --bus … --ledger …` and for `silta bench flow`. It prints a line with the address of each on stdout.
// Everything lies in a new folder that goes with it.
//
//	go run ./testfixtures/servers -brokers 3 -postgres
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hoitosilta/silta/testfixtures/kafka"
	"github.com/hoitosilta/silta/testfixtures/postgres"
)

func main() {
	brokers := flag.Int("brokers", 3, "Kafka brokers, 0 to 9; fewer than three need ?development=true")
	database := flag.Bool("postgres", false, "a PostgreSQL too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *brokers, *database); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// startWithin bounds the start; the first time, jars are fetched in it.
const startWithin = 5 * time.Minute

func run(ctx context.Context, brokers int, database bool) (err error) {
	dir, err := os.MkdirTemp("", "silta-servers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL runs as a user of its own and must get through
		return err
	}
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
	if database {
		home := filepath.Join(dir, "postgres")
		if err := os.Mkdir(home, 0o700); err != nil {
			return err
		}
		server, err := postgres.Start(starting, home)
		if server != nil {
			defer server.Close()
		}
		if err != nil {
			return err
		}
		fmt.Println(server.URL())
	}
	<-ctx.Done()
	return nil
}
