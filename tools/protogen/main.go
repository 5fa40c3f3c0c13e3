// Command protogen makes internal/envoyauth/envoyauth.pb.go of the .proto beside it, in Go alone:
// go.mod of tools pins the compiler and the generator. Run it with
//
//	go run -C tools ./protogen
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	gengo "google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const (
	source = "internal/envoyauth/envoyauth.proto" // also the source by which programs know the file
	target = "internal/envoyauth/envoyauth.pb.go"
)

func main() {
	code, err := generate("..")
	if err == nil {
		err = os.WriteFile(filepath.Join("..", target), code, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

// generate returns the Go code for the .proto in the repository at root.
func generate(root string) ([]byte, error) {
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{root}},
		SourceInfoMode: protocompile.SourceInfoStandard, // comments
	}
	files, err := compiler.Compile(context.Background(), source)
	if err != nil {
		return nil, err
	}
	plugin, err := protogen.Options{}.New(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{source},
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      []*descriptorpb.FileDescriptorProto{protoutil.ProtoFromFileDescriptor(files[0])},
	})
	if err != nil {
		return nil, err
	}
	gengo.GenerateFile(plugin, plugin.FilesByPath[source])
	answer := plugin.Response()
	if answer.Error != nil {
		return nil, fmt.Errorf("%s: %s", source, answer.GetError())
	}
	return []byte(answer.File[0].GetContent()), nil
}
