"""The page of deliveries: what is on its way, and the dead letters."""

from sqlalchemy.orm import Session, sessionmaker
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from compose.status_page.exams import LAST_PAGE, OF_A_PAGE
from compose.status_page.gate import POLL
from compose.status_page.logins import Login
from compose.status_page.rendering import page
from db.delivery_list import deliveries_by_state, deliveries_in
from db.states import DeliveryState

# Trouble first.
ORDER = {
    DeliveryState.FAILED: "dead letters",
    DeliveryState.PENDING: "to be sent",
    DeliveryState.SENT: "sent, proof open",
    DeliveryState.COMMITTED: "proven",
}


class DeliveryList:
    """The list."""

    def __init__(self, rows: sessionmaker[Session]) -> None:
        self._rows = rows

    def show(self, request: Request, login: Login) -> Response:
        """Show the deliveries in one state, newest first."""
        asked = request.query_params
        try:
            state, number = DeliveryState(asked.get("state", DeliveryState.FAILED)), int(asked.get("page", "1"))
        except ValueError as error:
            raise HTTPException(400, "There is no such list.") from error
        if not 1 <= number <= LAST_PAGE:
            raise HTTPException(400, "There is no such page.")
        with self._rows.begin() as session:
            counts = deliveries_by_state(session)
            found = deliveries_in(session, state, OF_A_PAGE + 1, (number - 1) * OF_A_PAGE)
        return page(
            "deliveries.html",
            login,
            live=POLL in request.headers,
            order=ORDER,
            counts=counts,
            state=state,
            number=number,
            found=found[:OF_A_PAGE],
            has_more=len(found) > OF_A_PAGE,
        )
