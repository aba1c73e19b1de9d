package kafka

import (
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

// jars gives the folder with Kafka's jars. The first time, Maven fetches what pom.xml names into the user's cache;
// the folder appears whole or not at all, and two processes fetch once.
func jars() (string, error) {
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
	if _, err := os.Stat(whole); err == nil {
		return whole, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", errors.New("mvn is not installed: `make test` installs Java and Maven")
	}
	part, err := os.MkdirTemp(filepath.Dir(whole), "part-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(part)
	if err := os.WriteFile(filepath.Join(part, "pom.xml"), pom, 0o600); err != nil {
		return "", err
	}
	fetch := exec.Command("mvn", "-B", "-q", "-f", filepath.Join(part, "pom.xml"),
		"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(part, "jars"))
	if out, err := fetch.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch Kafka: %w\n%s", err, out)
	}
	return whole, os.Rename(filepath.Join(part, "jars"), whole)
}
