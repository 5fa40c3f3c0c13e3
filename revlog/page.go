package revlog

import (
	"encoding/json"
	"sync"

	"github.com/counterfoil/counterfoil/source"
)

// sharedPage is a page that is the answer to many questions: nobody changes it.
type sharedPage struct {
	source.Page
	text func() ([]byte, error) // encodes once: a record of a JSON text sequence (RFC 7464)
}

func newSharedPage(p source.Page) *sharedPage {
	return &sharedPage{p, sync.OnceValues(func() ([]byte, error) { return encode(p) })}
}

func (p *sharedPage) json() ([]byte, error) {
	text, err := p.text()
	if err != nil {
		return nil, err
	}
	return text[1 : len(text)-1], nil
}

// encode writes RS, the page, and LF.
func encode(p source.Page) ([]byte, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return append(append([]byte{0x1e}, data...), '\n'), nil
}
