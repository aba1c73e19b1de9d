package kafka

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gofrs/flock"
)

//go:embed pom.xml
var pom []byte

// jars gives the folder with Kafka's jars. The first time, Maven fetches what pom.xml names into the user's cache, and a
// trial broker leaves its loaded classes in a file beside the folder, which saves later ones half of their start. The
// folder appears whole or not at all, and two processes fetch once.
func jars(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	whole := filepath.Join(cache, "silta", fmt.Sprintf("kafka-%08x", crc32.ChecksumIEEE(pom)))
	if err := os.MkdirAll(filepath.Dir(whole), 0o700); err != nil {
		return "", err
	}
	lock := flock.New(whole + ".lock")
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer lock.Unlock()
	if _, err := os.Stat(whole); err != nil {
		if err := fetch(ctx, whole); err != nil {
			return "", err
		}
	}
	if _, err := os.Stat(archive(whole)); err != nil {
		if err := record(ctx, whole); err != nil {
			return "", err
		}
	}
	return whole, nil
}

// archive names the file of loaded classes that belongs to a folder of jars. Java ignores one of another Java.
func archive(jars string) string { return jars + ".jsa" }

func fetch(ctx context.Context, whole string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return errors.New("mvn is not installed: `make setup` installs Java and Maven")
	}
	part, err := os.MkdirTemp(filepath.Dir(whole), "part-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(part)
	if err := os.WriteFile(filepath.Join(part, "pom.xml"), pom, 0o600); err != nil {
		return err
	}
	run := exec.CommandContext(ctx, "mvn", "-B", "-q", "-f", filepath.Join(part, "pom.xml"),
		"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(part, "jars"))
	if out, err := run.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch Kafka: %w\n%s", err, out)
	}
	return os.Rename(filepath.Join(part, "jars"), whole)
}

// record runs a broker until it takes requests and ends it in order, so that Java writes down what it had loaded.
func record(ctx context.Context, jars string) error {
	dir, err := os.MkdirTemp(filepath.Dir(jars), "part-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	part := filepath.Join(dir, "classes.jsa")
	trial := &Cluster{dir: dir, jars: jars, java: []string{"-XX:ArchiveClassesAtExit=" + part}, options: Options{Brokers: 1}}
	if err := trial.open(ctx); err != nil {
		return err
	}
	if err := trial.brokers[0].end(); err != nil {
		return err
	}
	return os.Rename(part, archive(jars))
}
