package fhir

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus gives the JSON files of real systems, which lie outside the repository; without them the test passes.
func corpus(t testing.TB) map[string][]byte {
	root := os.Getenv("SILTA_CORPUS")
	if root == "" {
		root = "../../../shared/corpus"
	}
	if _, err := os.Stat(root); err != nil {
		return nil
	}
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json") && !strings.HasSuffix(path, ".fhir") {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("the corpus is there and holds no FHIR file")
	}
	return files
}

// Whatever encoding/json calls JSON comes back byte for byte but for white space; what it refuses is refused.
func TestCorpusRoundTrip(t *testing.T) {
	whole := 0
	for path, b := range corpus(t) {
		tree, err := Parse(b)
		var want bytes.Buffer
		if json.Compact(&want, bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF"))) != nil {
			if err == nil {
				t.Errorf("%s is no JSON and was read", path)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		whole++
		if got := tree.Append(nil); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s doesn't come back as it was", path)
		}
		again, err := Parse(tree.Indent(nil))
		if err != nil || again.Digest() != tree.Digest() {
			t.Errorf("%s: indented, it has another digest (%v)", path, err)
		}
	}
	t.Logf("%d files", whole)
}
