export default () => Response.redirect('https://example.com/', 301);
