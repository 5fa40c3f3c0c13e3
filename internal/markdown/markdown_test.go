package markdown

import (
	"reflect"
	"slices"
	"testing"
)

const page = "# A page\n\n```sh\nls\n\n    -l\n```\n\n- item\n\n  ```yaml\n  a:\n    b: 1\n  ```\n\n    indented\n    more\n\ntext\n    still text\n\n    - item in an item\n"

func TestBlocks(t *testing.T) {
	want := []Block{{3, "sh", "ls\n\n    -l\n"}, {11, "yaml", "a:\n  b: 1\n"}}
	if got := Blocks(page); !reflect.DeepEqual(got, want) {
		t.Errorf("Blocks = %+v, want %+v", got, want)
	}
	if got := Indented(page); !slices.Equal(got, []int{16}) {
		t.Errorf("Indented = %v, want [16]", got)
	}
}

func TestFind(t *testing.T) {
	blocks := []Block{{1, "sh", "one\nboth\n"}, {5, "sh", "two\nboth\n"}}
	if n, err := Find(blocks, "two"); n != 1 || err != nil {
		t.Errorf("Find(two) = %d, %v", n, err)
	}
	for _, part := range []string{"both", "three"} {
		if n, err := Find(blocks, part); err == nil {
			t.Errorf("Find(%s) = %d, want an error", part, n)
		}
	}
}
