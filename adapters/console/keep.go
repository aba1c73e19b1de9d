package console

import (
	"context"
	"net/http"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Keeper is what the console calls to have the hub's house kept.
type Keeper interface {
	// Reload works by the configuration as it stands now, or, with contracts.Faults, changes nothing.
	Reload(ctx context.Context) (contracts.Reloaded, error)
	// Backup writes a copy of the embedded files into a new folder of that name, under the configured directory.
	Backup(ctx context.Context, name string) (contracts.Backup, error)
}

func (a *api) reload(w http.ResponseWriter, r *http.Request) error {
	done, err := a.keeper.Reload(r.Context())
	if err == nil {
		a.write(w, http.StatusOK, done)
	}
	return err
}

func (a *api) backup(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Name string `json:"name"`
	}
	if err := decode(w, r, &ask); err != nil {
		return err
	}
	control := http.NewResponseController(w) // one that knows no deadlines needs none
	_ = control.SetReadDeadline(time.Time{}) // all is read; the deadlines of that and of the answer would end long work
	_ = control.SetWriteDeadline(time.Time{})
	done, err := a.keeper.Backup(r.Context(), ask.Name)
	_ = control.SetWriteDeadline(time.Now().Add(lineTime))
	if err == nil {
		a.write(w, http.StatusOK, done)
	}
	return err
}
