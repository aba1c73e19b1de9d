package console_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/adapters/console"
	"github.com/hoitosilta/silta/contracts"
)

func TestTheHouseIsKeptWithTheOperatorsTokenOnly(t *testing.T) {
	d := &desk{}
	base, _ := open(t, d)
	for path, body := range map[string]string{"/api/v1/reload": "", "/api/v1/backup": `{"name":"monday"}`} {
		if got := call(t, "POST", base+path, body, "Authorization", ""); got.status != 401 || len(d.asked) != 0 {
			t.Errorf("a stranger's POST %s is answered %d, and the keeper was asked %v", path, got.status, d.asked)
		}
	}
	if got := call(t, "POST", base+"/api/v1/reload", ""); got.status != 200 || got.body != `{"partners":2,"changed":["hus"]}`+"\n" {
		t.Errorf("a reload is answered %d %s", got.status, got.body)
	}
	want := `{"dir":"/backup/monday","at":"2026-03-01T07:30:00Z","files":2,"bytes":7}` + "\n"
	if got := call(t, "POST", base+"/api/v1/backup", `{"name":"monday"}`); got.status != 200 || got.body != want {
		t.Errorf("a backup is answered %d %s", got.status, got.body)
	}
}

func TestAReloadTellsOfEveryFault(t *testing.T) {
	d := &desk{err: contracts.Faults{
		{Kind: contracts.Invalid, Code: "CFG-031", File: "a.yaml", Public: "One."},
		{Kind: contracts.Invalid, Code: "CFG-040", File: "silta.yaml", Line: 3, Col: 7, Public: "Two."},
	}}
	base, _ := open(t, d)
	want := `{"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"One.","kind":"invalid","code":"CFG-031","faults":[` +
		`{"kind":"invalid","code":"CFG-031","text":"One.","file":"a.yaml"},{"kind":"invalid","code":"CFG-040","at":"silta.yaml:3:7","text":"Two."}]}` + "\n"
	if got := call(t, "POST", base+"/api/v1/reload", ""); got.status != 422 || got.body != want {
		t.Errorf("a reload with two faults is answered %d %s", got.status, got.body)
	}
}

// deadlines notes the last deadlines that a handler set.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write *time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error  { d.read = &at; return nil }
func (d *deadlines) SetWriteDeadline(at time.Time) error { d.write = &at; return nil }

// copyist is a keeper whose copy looks at the deadlines that hold meanwhile.
type copyist struct {
	*desk
	meanwhile func()
}

func (c copyist) Backup(ctx context.Context, name string) (contracts.Backup, error) {
	c.meanwhile()
	return c.desk.Backup(ctx, name)
}

func TestABackupMayTakeLongerThanOtherAnswers(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	looked := false
	keeper := copyist{&desk{}, func() {
		looked = true
		if w.read == nil || w.write == nil || !w.read.IsZero() || !w.write.IsZero() {
			t.Errorf("while it copies the deadlines are %v and %v", w.read, w.write)
		}
	}}
	log := logrus.New()
	log.SetOutput(io.Discard)
	handler := console.Handler(console.Config{Operator: keeper.desk, Keeper: keeper, Token: token, Metrics: console.NewMetrics("test"), Log: log})
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/backup", strings.NewReader(`{"name":"monday"}`))
	r.Header.Set("Authorization", "Bearer "+token)
	handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK || !looked {
		t.Fatalf("a backup is answered %d %s", w.Code, w.Body)
	}
	if !w.write.After(time.Now()) {
		t.Errorf("the answer may be written until %v", w.write)
	}
}
