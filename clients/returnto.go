package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/counterfoil/counterfoil/internal/urls"
)

// ErrReturnTo means that a sign-in may not lead to a page. It wraps a [urls.Error].
var ErrReturnTo = fmt.Errorf("a sign-in may not lead there: %w", ErrBadRequest)

// ReturnTo is a page that a sign-in leads to. [Registry.ReturnTo] makes them, and nothing else
// can: who has one may redirect to it. The zero one is no page.
type ReturnTo struct{ text, origin string }

// String is what goes into a Location header.
func (r ReturnTo) String() string { return r.text }

// Origin is the origin of the page, if it is not on the issuer's own.
func (r ReturnTo) Origin() string { return r.origin }

// ReturnTo checks that a sign-in to the client id may lead to the page text, or is ErrReturnTo
// (HDR-03). It may be a path, or a URL whose origin is own or one of Client.Origins. These are
// the origins that may use the client's sessions anyway. An empty text is the zero ReturnTo.
func (g *Registry) ReturnTo(ctx context.Context, id, text, own string) (ReturnTo, error) {
	if text == "" {
		return ReturnTo{}, nil
	}
	if _, err := urls.ReturnTo(text, []string{own}); err == nil {
		return ReturnTo{text: text}, nil
	}
	if id == "" {
		id = Default
	}
	c, err := g.Client(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return ReturnTo{}, err
	}
	var listed []string
	if err == nil && !c.Disabled {
		listed = slices.DeleteFunc(slices.Clone(c.Origins), func(o string) bool { return o == own })
	}
	origin, err := urls.ReturnTo(text, listed)
	if err != nil {
		return ReturnTo{}, fmt.Errorf("%w: %w", ErrReturnTo, err)
	}
	return ReturnTo{text, origin}, nil
}
