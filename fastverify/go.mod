module github.com/counterfoil/counterfoil/fastverify

go 1.26.0

toolchain go1.26.8

replace github.com/counterfoil/counterfoil => ../

require (
	filippo.io/edwards25519 v1.2.0
	filippo.io/nistec v0.0.4
	github.com/counterfoil/counterfoil v0.0.0-00010101000000-000000000000
)

require (
	github.com/mileusna/useragent v1.3.5 // indirect
	github.com/wneessen/go-mail v0.8.1 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
