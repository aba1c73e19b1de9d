package console_test

import (
	"testing"

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
