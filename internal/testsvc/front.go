package testsvc

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nginxConf is nginx with one server, whose files are in its own folder.
const nginxConf = `daemon off; master_process off; pid nginx.pid; error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {
    %s
  }
}
`

// Nginx is a real nginx with the lines of one server, and with files in dir.
func Nginx(tb testing.TB, dir, server string) *exec.Cmd {
	tb.Helper()
	write(tb, dir, "nginx.conf", fmt.Sprintf(nginxConf, server))
	return exec.Command(Program(tb, "nginx"), "-p", dir, "-c", "nginx.conf", "-e", "stderr")
}

// Front is nginx, caddy, haproxy or traefik in front of a service, with the configuration that counterfoil prints
// for a gateway. It listens at address and at more, and at h2c for HTTP/2 without TLS, if that is not
// empty: then app.example.com is a host of Caddy's, too.
func Front(tb testing.TB, proxy, snippet, gateway, service, address, h2c string, more ...string) *exec.Cmd {
	tb.Helper()
	dir := tb.TempDir()
	switch proxy {
	case "nginx":
		listen := "listen " + address + ";\n"
		if h2c != "" {
			listen += "listen " + h2c + " http2;\n"
		}
		for _, at := range more {
			listen += "listen " + at + ";\n"
		}
		return Nginx(tb, dir, listen+snippet)
	case "caddy":
		options, sites := "", "http://"+address
		for _, at := range more {
			sites += ", http://" + at
		}
		if h2c != "" {
			_, port, _ := net.SplitHostPort(h2c)
			options, sites = "\tservers :"+port+" {\n\t\tprotocols h1 h2 h2c\n\t}\n", sites+", http://"+h2c+", http://app.example.com"+address[strings.LastIndexByte(address, ':'):]
		}
		path := write(tb, dir, "Caddyfile", fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n%s}\n%s {\n%s}\n", options, sites, snippet))
		cmd := exec.Command(Program(tb, "caddy"), "run", "--config", path, "--adapter", "caddyfile")
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
		return cmd
	case "haproxy":
		lua, bind := write(tb, dir, "counterfoil.lua", snippet), "bind "+address
		if h2c != "" {
			bind += "\n  bind " + h2c + " proto h2"
		}
		for _, at := range more {
			bind += "\n  bind " + at
		}
		path := write(tb, dir, "haproxy.cfg", fmt.Sprintf("global\n  lua-load %s\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\nfrontend f\n  %s\n  http-request lua.counterfoil %s\n  default_backend b\nbackend b\n  server s %s\n", lua, bind, gateway, service))
		return exec.Command(Program(tb, "haproxy"), "-db", "-f", path)
	case "traefik":
		points, hosts := "", "Host(`app.example.com`)"
		for n, at := range append([]string{address, h2c}, more...) {
			if host, _, err := net.SplitHostPort(at); err == nil {
				points += fmt.Sprintf("  at%d: {address: %q}\n", n, at)
				hosts += " || Host(`" + host + "`)"
			}
		}
		routes := write(tb, dir, "routes.yaml", strings.ReplaceAll(snippet, "Host(`app.example.com`)", "("+hosts+")"))
		path := write(tb, dir, "traefik.yaml", fmt.Sprintf("global: {checkNewVersion: false}\nentryPoints:\n%sproviders: {file: {filename: %q}}\n", points, routes))
		return exec.Command(Program(tb, "traefik"), "--configFile="+path)
	}
	tb.Fatalf("no configuration for %s", proxy)
	return nil
}

func write(tb testing.TB, dir, name, text string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
