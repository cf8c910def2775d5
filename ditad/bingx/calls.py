"""Every call that can be made of the exchange: one line each, all of them readings.

What leaves: `CALLS`, by which the road to the exchange lets a request pass, and a test reads the package. What holds:
no order, transfer or withdrawal is here, so none can be sent; a listen key, which opens a stream and nothing else, is
the only thing that is ever asked for with another method than GET.
"""

from __future__ import annotations

from typing import Final

CALLS: Final = frozenset(
    {
        ("GET", "/openApi/swap/v2/server/time"),
        ("GET", "/openApi/swap/v2/quote/contracts"),
        ("GET", "/openApi/v1/account/apiPermissions"),
        ("GET", "/openApi/swap/v1/positionSide/dual"),
        ("GET", "/openApi/swap/v1/trade/assetMode"),
        ("GET", "/openApi/swap/v2/trade/leverage"),
        ("GET", "/openApi/swap/v2/user/balance"),
        ("GET", "/openApi/swap/v3/user/balance"),
        ("GET", "/openApi/swap/v2/user/positions"),
        ("GET", "/openApi/swap/v2/user/commissionRate"),
        ("GET", "/openApi/swap/v2/user/income"),
        ("GET", "/openApi/swap/v2/trade/order"),
        ("GET", "/openApi/swap/v2/trade/openOrders"),
        ("GET", "/openApi/swap/v2/trade/allOrders"),
        ("GET", "/openApi/swap/v2/trade/forceOrders"),
        ("GET", "/openApi/swap/v2/trade/fillHistory"),
        ("GET", "/openApi/swap/v2/trade/allFillOrders"),
        ("POST", "/openApi/user/auth/userDataStream"),
        ("PUT", "/openApi/user/auth/userDataStream"),
    }
)
"""Method and path. (bingx.md §2, §5)"""
