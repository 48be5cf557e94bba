import os

print("this goes to the log")


def worker(request):
    if request.method != "POST":
        return Response("only POST", 405)
    count = int(Cache.get("count") or 0) + 1
    Cache.set("count", count)
    body = "{} {} {} {}".format(request.params["id"], request.body, request.headers["host"], os.getenv("GREETING"))
    response = Response(body)
    response.headers["x-generated-by"] = "reef"
    return response
