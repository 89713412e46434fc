package main

import (
	"context"
	"strings"

	"ocifs.dev/ocifs/fetch"
)

// elsewhere opens images that a Compose application names, in the registries
// that this machine's configuration and credential files lead to. What was
// given on the line (--creds, --plain-http, --tls-verify …) is for the application's own
// registry, and for images in that one.
func (i *openedImage) elsewhere(h hooks) func(context.Context, string) (*fetch.Source, error) {
	return func(ctx context.Context, name string) (*fetch.Source, error) {
		s := i.spec
		if host := registryHost(name); host == "" || host != registryHost(i.src.Name()) {
			s.Registry.Scheme, s.Registry.SkipVerify = "", false
			s.Registry.Auth = fetch.Auth{Files: s.Registry.Auth.Files}
		}
		src, err := fetch.Open(ctx, "docker://"+name, s.fetchOptions(h, i.store))
		if err == nil {
			i.others = append(i.others, src)
		}
		return src, err
	}
}

// fetched is what came of the network: for the image, and for those elsewhere.
func (i *openedImage) fetched() fetch.Stats {
	sum := i.src.Stats()
	for _, src := range i.others {
		s := src.Stats()
		sum.Requests, sum.Bytes, sum.Retries = sum.Requests+s.Requests, sum.Bytes+s.Bytes, sum.Retries+s.Retries
	}
	return sum
}

// registryHost is the registry that an image's name in full begins with, "" if
// it is in none.
func registryHost(name string) string {
	if r, err := fetch.ParseReference(name); err != nil || r.Local() {
		return ""
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(name, "docker://"), "/")
	return host
}
