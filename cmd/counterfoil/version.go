package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
)

// versionView says which program this is.
type versionView struct {
	Version  string `json:"version"`            // of the module; "devel" from a checkout
	Revision string `json:"revision,omitempty"` // commit
	Modified bool   `json:"modified,omitempty"` // the checkout had changes that are in no commit
	Go       string `json:"go"`
}

func version() versionView {
	v := versionView{Version: "devel", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

type versionCommand struct {
	JSON bool `help:"Print JSON."`
}

// Run prints the version.
func (c *versionCommand) Run() error {
	v := version()
	if c.JSON {
		return writeJSON(os.Stdout, v)
	}
	_, err := fmt.Println("counterfoil " + v.Version + " " + v.Go)
	return err
}
