// A reverse proxy as one writes it with Go's httputil: kept connections to the origin, buffers that
// are used again.
//
// proxy PORT HTTP2-PORT TLS-PORT ORIGIN-PORT PEM, all ports of 127.0.0.1.
package main

import (
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
)

func main() {
	if len(os.Args) != 6 {
		log.Fatal("usage: proxy PORT HTTP2-PORT TLS-PORT ORIGIN-PORT PEM")
	}
	plain, http2, tls, origin, pem := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	proxy := reverse(&url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", origin)})

	server := func(port string, http1, http2, cleartext2 bool) *http.Server {
		var protocols http.Protocols
		protocols.SetHTTP1(http1)
		protocols.SetHTTP2(http2)
		protocols.SetUnencryptedHTTP2(cleartext2)
		address := net.JoinHostPort("127.0.0.1", port)
		return &http.Server{Addr: address, Handler: proxy, Protocols: &protocols}
	}
	go func() { log.Fatal(server(http2, false, false, true).ListenAndServe()) }()
	go func() { log.Fatal(server(tls, true, true, false).ListenAndServeTLS(pem, pem)) }()
	log.Fatal(server(plain, true, false, false).ListenAndServe())
}

func reverse(origin *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Transport:  &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true},
		BufferPool: &buffers{sync.Pool{New: func() any { return make([]byte, 32<<10) }}},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = origin.Scheme, origin.Host
			if from, _, err := net.SplitHostPort(r.In.RemoteAddr); err == nil {
				r.Out.Header.Set("X-Forwarded-For", from)
			}
		},
	}
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte       { return b.pool.Get().([]byte) }
func (b *buffers) Put(buffer []byte) { b.pool.Put(buffer) }
