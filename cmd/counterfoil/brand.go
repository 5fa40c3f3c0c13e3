package main

import (
	"fmt"
	"os"

	"github.com/counterfoil/counterfoil/server"
)

// brand is what the settings say of whose the pages are. It reads the logo.
func (c *settings) brand() (b server.Brand, err error) {
	b.Name, b.Accent = c.BrandName, c.BrandAccent
	for _, text := range c.BrandLinks {
		l, err := server.ParseBrandLink(text)
		if err != nil {
			return b, err
		}
		b.Links = append(b.Links, l)
	}
	if c.BrandLogo != "" {
		b.Logo, err = readLogo(c.BrandLogo)
	}
	return b, err
}

func readLogo(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = server.CheckLogo(data)
	}
	if err != nil {
		return nil, fmt.Errorf("brand_logo: %w", err)
	}
	return data, nil
}

func checkColour(text string) error {
	if text == "" {
		return nil
	}
	return server.CheckAccent(text)
}

func checkLink(text string) error {
	_, err := server.ParseBrandLink(text)
	return err
}

// checkLogo reads the file, so that counterfoil config print says what is wrong with it.
func checkLogo(path string) error {
	if path == "" {
		return nil
	}
	_, err := readLogo(path)
	return err
}
