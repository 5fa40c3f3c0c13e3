package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// writeSBOM writes the modules that are in the program, as the program itself says.
func (r *release) writeSBOM(out string) error {
	bom := cyclonedx.NewBOM()
	main := component(&r.program.info.Main, cyclonedx.ComponentTypeApplication)
	bom.Metadata = &cyclonedx.Metadata{Timestamp: r.when.Format(time.RFC3339), Component: &main}
	standard := cyclonedx.Component{
		BOMRef: "std", Type: cyclonedx.ComponentTypeLibrary, Name: "std", Version: r.program.info.GoVersion,
		PackageURL: "pkg:golang/std@" + strings.TrimPrefix(r.program.info.GoVersion, "go"),
	}
	components, refs := []cyclonedx.Component{standard}, []string{standard.BOMRef}
	for _, dep := range r.program.info.Deps {
		if dep.Replace != nil {
			return fmt.Errorf("%s is replaced: what is shipped is built from published modules", dep.Path)
		}
		c := component(dep, cyclonedx.ComponentTypeLibrary)
		components, refs = append(components, c), append(refs, c.BOMRef)
	}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	file, err := os.Create(filepath.Join(out, fmt.Sprintf("counterfoil-%s-linux-%s.cdx.json", r.version, r.program.arch)))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := cyclonedx.NewBOMEncoder(file, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return err
	}
	return file.Close()
}

// component is a module. Its hash is that of go.sum: of the list of its files with their hashes.
func component(m *debug.Module, kind cyclonedx.ComponentType) cyclonedx.Component {
	c := cyclonedx.Component{Type: kind, Name: m.Path, Version: m.Version, PackageURL: "pkg:golang/" + m.Path + "@" + m.Version}
	c.BOMRef = c.PackageURL
	if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) > 0 {
		c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
	}
	return c
}
