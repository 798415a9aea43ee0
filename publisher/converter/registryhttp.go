package converter

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// transportOf makes the connections' pool.
func transportOf(o options) (http.RoundTripper, error) {
	tlsConfig, err := tlsOf(o)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: o.millis("http.connect.timeout.ms", connectTimeout)}
	t := &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: tlsConfig, TLSHandshakeTimeout: dialer.Timeout,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second, // a lane asks when a table changes
	}
	if host := o.get("proxy.host", ""); host != "" {
		proxy := &url.URL{Scheme: "http", Host: net.JoinHostPort(host, o.get("proxy.port", "80"))}
		t.Proxy = http.ProxyURL(proxy)
	}
	headers := http.Header{}
	for name, v := range o.under("request.header.").of {
		headers.Set(name, v)
	}
	return &bounded{t, headers}, nil
}

// bounded cuts answers at maxAnswerBytes, and adds request.header.*.
type bounded struct {
	next    http.RoundTripper
	headers http.Header
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	if len(b.headers) > 0 {
		req = req.Clone(req.Context())
		for name, vs := range b.headers {
			req.Header[name] = vs
		}
	}
	resp, err := b.next.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswerBytes), resp.Body}
	}
	return resp, err
}
