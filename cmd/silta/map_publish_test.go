package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hoitosilta/silta/mappings"
)

// TestManyPublishAtOnce: each reads the lock file that the one before wrote, so no row is lost.
func TestManyPublishAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mappings", mappings.LockFile)
	maps := readGround(t).catalog.Maps()
	if len(maps) < 5 {
		t.Fatal("too few maps to say anything")
	}
	var all sync.WaitGroup
	begin := make(chan struct{})
	for _, m := range maps {
		all.Go(func() {
			<-begin
			if err := writeLock(path, m); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	all.Wait()
	lock, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range maps {
		if strings.Count(string(lock), "\nmap "+m.Name()+" "+m.Digest()) != 1 {
			t.Errorf("%s isn't in the lock file once", m.Name())
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("left lying beside it: %v", left)
	}
}
