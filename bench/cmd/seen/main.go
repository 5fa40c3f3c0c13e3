// Command seen measures what the verifier of this checkout pays for a copy that it has seen, beside
// that of another revision: bytes of heap, the time of a full collection of garbage, and the time
// of a check.
//
// The command checks the revision out into a temporary folder and builds itself there too. For each
// kind and number of copies it starts a process of either side, which fills a verifier. Then the
// two measure in turns, so that other load of the machine affects both in the same way.
// It prints medians over the rounds, and the ratio of the medians.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/counterfoil/counterfoil/bench/internal/checkout"
	"github.com/counterfoil/counterfoil/bench/internal/output"
)

type settings struct {
	sizes, kinds string
	rounds       int
	child        bool
}

func main() {
	var s settings
	flag.StringVar(&s.sizes, "sizes", "1,1000,10000,100000,1000000", "numbers of copies")
	flag.StringVar(&s.kinds, "kinds", "JWT,opaque", "kinds of copies")
	flag.IntVar(&s.rounds, "count", 9, "rounds")
	flag.BoolVar(&s.child, "measure", false, "measure the verifier that this was built with: for the command itself")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // so that the checkout is removed
	defer stop()
	var err error
	switch {
	case s.child:
		err = serve(ctx, s)
	case flag.NArg() == 1:
		err = s.against(ctx, flag.Arg(0))
	default:
		fmt.Fprintln(os.Stderr, "usage: bench/seen [flags] REVISION")
		flag.PrintDefaults()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "seen:", err)
		os.Exit(2)
	}
}

func (s settings) against(ctx context.Context, revision string) error {
	pair, remove, err := checkout.Beside(ctx, revision)
	if err != nil {
		return err
	}
	defer remove()
	for _, ours := range [...]string{"bench/cmd/seen", "bench/internal"} { // the old revision is measured by this command, too
		if err := os.RemoveAll(filepath.Join(pair.Old, ours)); err != nil {
			return err
		}
		if err := os.CopyFS(filepath.Join(pair.Old, ours), os.DirFS(filepath.Join(pair.Here, ours))); err != nil {
			return err
		}
	}
	var programs [2]string
	for side, root := range [2]string{pair.Old, pair.Here} {
		programs[side] = filepath.Join(pair.Dir, strconv.Itoa(side))
		if _, err := checkout.Run(ctx, filepath.Join(root, "bench"), "go", "build", "-o", programs[side], "./cmd/seen"); err != nil {
			return err
		}
	}
	fmt.Println("| | | before | after | ratio |\n|---|---|---|---|---|")
	for kind := range strings.SplitSeq(s.kinds, ",") {
		for size := range strings.SplitSeq(s.sizes, ",") {
			if err := s.compare(ctx, programs, kind, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare prints the rows of one kind and number.
func (s settings) compare(ctx context.Context, programs [2]string, kind, size string) error {
	var sides [2]*side
	for n, program := range programs {
		var err error
		if sides[n], err = start(ctx, program, kind, size); err != nil {
			return err
		}
		defer sides[n].stop()
	}
	var all [2]map[string][]float64
	for n := range all {
		all[n] = map[string][]float64{}
	}
	var names []string
	for round := range s.rounds + 1 { // the first one fills the verifier, and is warmer than the others
		for turn := range sides {
			n := (round + turn) % 2
			got, err := sides[n].round()
			if err != nil {
				return err
			}
			for _, v := range got {
				if n == 0 && round == 1 {
					names = append(names, v.Name)
				}
				if round > 0 {
					all[n][v.Name] = append(all[n][v.Name], v.Value)
				}
			}
		}
	}
	for _, name := range names {
		before, after := output.Median(all[0][name]), output.Median(all[1][name])
		fmt.Printf("| %s %s | %s | %.4g | %.4g | %.2f |\n", size, kind, name, before, after, after/before)
	}
	return nil
}

// side is a process that measures one side.
type side struct {
	cmd *exec.Cmd
	in  *json.Encoder
	out *bufio.Scanner
}

func start(ctx context.Context, program, kind, size string) (*side, error) {
	cmd := exec.CommandContext(ctx, program, "-measure", "-kinds", kind, "-sizes", size)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &side{cmd, json.NewEncoder(in), bufio.NewScanner(out)}, cmd.Start()
}

// round has the process measure everything once.
func (s *side) round() (got []value, err error) {
	if err := s.in.Encode(true); err != nil {
		return nil, err
	}
	if !s.out.Scan() {
		return nil, fmt.Errorf("a side has ended: %v", s.out.Err())
	}
	return got, json.Unmarshal(s.out.Bytes(), &got)
}

func (s *side) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}
